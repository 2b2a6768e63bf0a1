// An optimizer of about a hundred lines as a live subject: the rule of torch.optim.Adafactor in float32, with forward
// sums. Compile it and judge it:
//   c++ -O2 -shared -fPIC -I DIR_OF_THE_HEADER adafactor.cpp -o libadafactor.so
//   plumbline verify --subject ./libadafactor.so
// With -DFAULTY it has the bug that this page is for: columns are averaged over the number of columns.
#include <plumbline_subject.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Adafactor {
  double lr = 1e-2, beta2_decay = -0.8, eps1 = 0x1p-23, eps2 = 1e-3, d = 1, weight_decay = 0;
  bool maximize = false;
  std::vector<int64_t> shape;
  int64_t matrices = 1, rows = 1, cols = 1;
  std::vector<float> row_var, col_var, variance, update;
  std::vector<int64_t> row_shape, col_shape;
  int64_t t = 0;

  bool factored() const { return shape.size() > 1; }
  int64_t size() const { return matrices * rows * cols; }

  // False: there is no such option.
  bool set(const std::string& name, const char* value) {
    if (name == "lr") return lr = std::atof(value), true;
    if (name == "beta2_decay") return beta2_decay = std::atof(value), true;
    if (name == "d") return d = std::atof(value), true;
    if (name == "weight_decay") return weight_decay = std::atof(value), true;
    if (name == "maximize") return maximize = std::strcmp(value, "true") == 0, true;
    if (name != "eps") return false;
    char first[32] = "";  // [null, 0.001]: the first is the machine epsilon unless it is given
    std::sscanf(value, "[%31[^,],%lf", first, &eps2);
    if (std::strcmp(first, "null") != 0) eps1 = std::atof(first);
    return true;
  }

  void step(float* p, const float* g) {
    ++t;
    const int64_t n = size();
    const float w = float(std::pow(double(t), beta2_decay)), sign = maximize ? -1.0f : 1.0f;
    float squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += p[i] * p[i];
    const float rms_p = std::sqrt(squares / float(n));
    const double rho = std::min(lr, 1 / std::sqrt(double(t)));
    const float alpha = float(std::max(eps2, double(rms_p)) * rho);
    if (weight_decay != 0)
      for (int64_t i = 0; i < n; ++i) p[i] *= float(1 - lr * weight_decay);
    if (factored()) {
      for (int64_t m = 0; m < matrices; ++m) {
        const float* of = g + m * rows * cols;
        float *row = &row_var[size_t(m * rows)], *col = &col_var[size_t(m * cols)];
        for (int64_t i = 0; i < rows; ++i) {
          float sum = 0;
          for (int64_t j = 0; j < cols; ++j) sum += of[i * cols + j] * of[i * cols + j];
          row[i] += w * (sum / float(cols) - row[i]);
        }
        for (int64_t j = 0; j < cols; ++j) {
          float sum = 0;
          for (int64_t i = 0; i < rows; ++i) sum += of[i * cols + j] * of[i * cols + j];
#ifdef FAULTY
          col[j] += w * (sum / float(cols) - col[j]);
#else
          col[j] += w * (sum / float(rows) - col[j]);
#endif
        }
        float mean = 0;
        for (int64_t i = 0; i < rows; ++i) mean += row[i];
        mean = std::max(mean / float(rows), float(eps1));
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < cols; ++j) {
            const float v = std::max(row[i] / mean * col[j], float(eps1 * eps1));
            update[size_t((m * rows + i) * cols + j)] = sign * of[i * cols + j] / std::sqrt(v);
          }
      }
    } else {
      for (int64_t i = 0; i < n; ++i) {
        variance[size_t(i)] += w * (g[i] * g[i] - variance[size_t(i)]);
        update[size_t(i)] = sign * g[i] / std::sqrt(std::max(variance[size_t(i)], float(eps1 * eps1)));
      }
    }
    float sum = 0;
    for (const float u : update) sum += u * u;
    const float clip = std::max(1.0f, std::sqrt(sum / float(n)) / float(d));
    for (int64_t i = 0; i < n; ++i) p[i] -= alpha / clip * update[size_t(i)];
  }
};

plumbline_status say(plumbline_message* why, plumbline_status status, const char* text) {
  if (why && why->capacity > 0) std::snprintf(why->text, why->capacity, "%s", text);
  return status;
}

const char* describe() {
  return R"({"dialect": "torch", "parameter": ["f32"], "gradient": ["f32"], "promises": ["same_bits"]})";
}

// The optimizer of each tensor, and what state() shows of them.
struct Session {
  std::vector<Adafactor> tensors;
  std::vector<plumbline_array> shown;
};

plumbline_status start(const plumbline_problem* problem, const plumbline_array*, void*, void** session,
                       plumbline_message* why) {
  for (uint64_t i = 0; i < problem->tensor_count; ++i) {
    const plumbline_tensor& tensor = *PLUMBLINE_AT(plumbline_tensor, problem->tensors, i);
    if (tensor.parameter != PLUMBLINE_F32 || tensor.gradient != PLUMBLINE_F32)
      return say(why, PLUMBLINE_CANNOT, "float32 only");
  }
  auto* s = new Session;
  for (uint64_t i = 0; i < problem->tensor_count; ++i) {
    const plumbline_tensor& tensor = *PLUMBLINE_AT(plumbline_tensor, problem->tensors, i);
    Adafactor a;
    a.shape.assign(tensor.shape, tensor.shape + tensor.rank);
    for (size_t k = 0; k < a.shape.size(); ++k)
      (k + 1 == a.shape.size() ? a.cols : k + 2 == a.shape.size() ? a.rows : a.matrices) *= a.shape[k];
    const plumbline_group& group = *PLUMBLINE_AT(plumbline_group, problem->groups, tensor.group);
    for (uint64_t k = 0; k < group.option_count; ++k) {
      const plumbline_option& option = *PLUMBLINE_AT(plumbline_option, group.options, k);
      if (!a.set(option.name, option.value)) {
        delete s;
        return say(why, PLUMBLINE_CANNOT, "no such option");
      }
    }
    a.update.resize(size_t(a.size()));
    if (a.factored()) {
      a.row_shape = {a.matrices, a.rows};
      a.col_shape = {a.matrices, a.cols};
      a.row_var.resize(size_t(a.matrices * a.rows));
      a.col_var.resize(size_t(a.matrices * a.cols));
    } else {
      a.variance.resize(size_t(a.size()));
    }
    s->tensors.push_back(std::move(a));
  }
  *session = s;
  return PLUMBLINE_OK;
}

plumbline_status step(void* session, const plumbline_step* s) {
  auto& tensors = static_cast<Session*>(session)->tensors;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const plumbline_array& gradient = *PLUMBLINE_AT(plumbline_array, s->gradients, i);
    if (!gradient.data) continue;  // this tensor takes no part in this step
    tensors[i].step(static_cast<float*>(PLUMBLINE_AT(plumbline_array, s->parameters, i)->data),
                    static_cast<const float*>(gradient.data));
  }
  return PLUMBLINE_OK;
}

plumbline_status state(void* session, void*, const plumbline_array** arrays, uint64_t* count, plumbline_message*) {
  auto& s = *static_cast<Session*>(session);
  s.shown.clear();
  for (size_t i = 0; i < s.tensors.size(); ++i) {
    const auto show = [&](const char* name, std::vector<float>& values, const std::vector<int64_t>& shape) {
      if (values.empty()) return;
      s.shown.push_back({sizeof(plumbline_array), name, values.data(), values.size() * sizeof(float), shape.data(),
                         nullptr, uint32_t(shape.size()), uint32_t(i), PLUMBLINE_F32, PLUMBLINE_HOST});
    };
    show("row_var", s.tensors[i].row_var, s.tensors[i].row_shape);
    show("col_var", s.tensors[i].col_var, s.tensors[i].col_shape);
    show("variance", s.tensors[i].variance, s.tensors[i].shape);
  }
  *arrays = s.shown.data();
  *count = s.shown.size();
  return PLUMBLINE_OK;
}

void finish(void* session) { delete static_cast<Session*>(session); }

}  // namespace

extern "C" const plumbline_subject_v1* plumbline_subject(void) {
  static const plumbline_subject_v1 table = [] {
    plumbline_subject_v1 t{};
    t.size = sizeof t;
    t.abi = PLUMBLINE_SUBJECT_ABI;
    t.describe = describe;
    t.start = start;
    t.step = step;
    t.state = state;
    t.finish = finish;
    return t;
  }();
  return &table;
}
