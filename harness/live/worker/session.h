// One session of a loaded subject: builds the structs of the ABI, lends the buffers, checks what comes back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "harness/live/plumbline_subject.h"
#include "harness/live/protocol.h"
#include "harness/live/worker/buffers.h"

namespace plumbline::harness::live {

struct Answer {
  Status status = kOk;
  std::string text;
  int64_t memory = 0;   // bytes of shared memory that the state needs
  int64_t skipped = 0;  // bit i: tensor i
};

class ForeignSession {
 public:
  // Throws std::runtime_error for a text that is no problem.
  ForeignSession(const plumbline_subject_v1& subject, const nlohmann::json& problem, size_t memory);
  ~ForeignSession();
  ForeignSession(const ForeignSession&) = delete;
  ForeignSession& operator=(const ForeignSession&) = delete;

  Answer start(std::span<const std::byte> memory);
  // `absent`: indices of tensors without a gradient in this step.
  Answer step(int64_t t, const std::vector<size_t>& absent, int64_t state_at, std::span<std::byte> memory);
  // The state of the last step, once more.
  Answer show_state(int64_t state_at, std::span<std::byte> memory);
  Answer reload(std::span<const std::byte> memory);

 private:
  struct OneTensor {
    std::string name;
    std::vector<int64_t> shape, strides;
    plumbline_type parameter_type = 0, gradient_type = 0;
    size_t parameter_bytes = 0, gradient_bytes = 0;
    int64_t parameter_at = 0, gradient_at = 0;
    std::unique_ptr<LentBuffer> parameter, gradient;
  };
  Answer begin();
  Answer checked(plumbline_status status, const char* call);
  void describe_arrays();
  std::string damage(std::span<const std::byte> memory) const;

  const plumbline_subject_v1& subject_;
  std::string dialect_;
  std::vector<OneTensor> owned_;
  std::vector<std::vector<std::string>> texts_;  // of options: name, value, name, value, ...
  std::vector<std::vector<plumbline_option>> options_;
  std::vector<plumbline_group> groups_;
  std::vector<plumbline_tensor> tensors_;
  std::vector<plumbline_array> parameters_, gradients_;
  std::vector<uint8_t> skipped_;
  plumbline_problem problem_{};
  plumbline_message why_{};
  std::vector<char> why_text_;
  void* session_ = nullptr;
  bool started_ = false;
};

}  // namespace plumbline::harness::live
