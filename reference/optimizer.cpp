#include "reference/optimizer.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace plumbline::reference {
namespace {

std::string text(const Shape& shape) {
  std::string out = "(";
  for (size_t a = 0; a < shape.size(); ++a) {
    if (a > 0) out += ", ";
    out += std::to_string(shape[a]);
  }
  return out + ")";
}

void check_shape(const char* what, const Tensor& x, const Shape& expected) {
  if (x.shape != expected)
    throw std::invalid_argument(std::string(what) + ": shape " + text(x.shape) + ", expected " + text(expected));
}

// Back to defaults, but tensors keep their memory: an empty shape marks what no transform has written yet.
void clear(StepRecord& record) {
  StepRecord fresh;
  fresh.keep_gradient = record.keep_gradient;
  for (auto member :
       {&StepRecord::row, &StepRecord::col, &StepRecord::second_moment, &StepRecord::gradient, &StepRecord::update}) {
    fresh.*member = std::move(record.*member);
    (fresh.*member).shape.clear();
  }
  fresh.row_mean = std::move(record.row_mean);
  record = std::move(fresh);
}

void drop_unwritten(StepRecord& record) {
  for (auto member :
       {&StepRecord::row, &StepRecord::col, &StepRecord::second_moment, &StepRecord::gradient, &StepRecord::update})
    if ((record.*member).shape.empty()) (record.*member).data.resize(0);
  if (record.row.shape.empty()) record.row_mean.resize(0);
}

}  // namespace

Optimizer::Optimizer(Shape shape, std::vector<std::unique_ptr<Transform>> chain)
    : shape_(std::move(shape)), chain_(std::move(chain)) {}

void Optimizer::step(Tensor& parameter, const Tensor& gradient, StepRecord* record) {
  check_shape("parameter", parameter, shape_);
  check_shape("gradient", gradient, shape_);
  if (record) {
    clear(*record);
    record->step = step_count_ + 1;
  }
  Step step(step_count_ + 1, parameter, gradient, record);
  for (const auto& transform : chain_) {
    transform->apply(step);
    if (step.skipped) break;
  }
  if (record) {
    record->skipped = step.skipped;
    if (record->keep_gradient && step.gradient != step.recorded_gradient) copy_to(record->gradient, *step.gradient);
    drop_unwritten(*record);
  }
  if (!step.skipped) ++step_count_;
}

Tensor* Optimizer::state(Slot slot) {
  for (const auto& transform : chain_)
    if (Tensor* found = transform->state(slot)) return found;
  return nullptr;
}

}  // namespace plumbline::reference
