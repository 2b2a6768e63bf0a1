// The one error that a user can mend: bad input, a bad option, an unreadable file. One line; the program exits with 2.
#pragma once
#include <stdexcept>

namespace plumbline::harness {

class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace plumbline::harness
