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
  for (auto member : StepRecord::tensors()) {
    fresh.*member = std::move(record.*member);
    (fresh.*member).shape.clear();
  }
  for (auto member : StepRecord::vectors()) fresh.*member = std::move(record.*member);
  record = std::move(fresh);
}

void drop_unwritten(StepRecord& record) {
  for (auto member : StepRecord::tensors())
    if ((record.*member).shape.empty()) (record.*member).data.resize(0);
  if (record.row.shape.empty()) record.row_mean.resize(0);
  if (record.confidence_row.shape.empty()) record.confidence_mean.resize(0);
  if (record.low_rank_row.shape.empty()) record.low_rank_mean.resize(0);
}

}  // namespace

const std::array<Tensor StepRecord::*, StepRecord::kTensors>& StepRecord::tensors() {
  using R = StepRecord;
  static constexpr std::array<Tensor R::*, kTensors> all{&R::row,
                                                         &R::col,
                                                         &R::second_moment,
                                                         &R::gradient,
                                                         &R::momentum,
                                                         &R::update,
                                                         &R::confidence_row,
                                                         &R::confidence_col,
                                                         &R::guided,
                                                         &R::low_rank_gradient,
                                                         &R::low_rank_momentum,
                                                         &R::low_rank_second_moment,
                                                         &R::low_rank_row,
                                                         &R::low_rank_col,
                                                         &R::row_resolution,
                                                         &R::col_resolution,
                                                         &R::second_moment_resolution,
                                                         &R::confidence_row_resolution,
                                                         &R::confidence_col_resolution,
                                                         &R::low_rank_row_resolution,
                                                         &R::low_rank_col_resolution,
                                                         &R::low_rank_second_moment_resolution,
                                                         &R::normalised,
                                                         &R::channel_scale};
  return all;
}

const std::array<Vector StepRecord::*, StepRecord::kVectors>& StepRecord::vectors() {
  using R = StepRecord;
  static constexpr std::array<Vector R::*, kVectors> all{&R::row_mean, &R::confidence_mean, &R::low_rank_mean};
  return all;
}

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
