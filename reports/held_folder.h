// The folder of one run's report, while the run goes on.
#pragma once
#include <filesystem>
#include <vector>

#include "reports/text.h"

namespace plumbline::reports {

class HeldFolder {
 public:
  // Creates the folder if need be, holds it against other runs, and removes an older report's files and bundles from
  // it: what was green before says nothing of the run that begins. Other files stay. Throws harness::InputError where
  // the folder cannot be written or another run holds it.
  explicit HeldFolder(std::filesystem::path folder);
  // Removes a draft. A report that was published stays.
  ~HeldFolder();
  HeldFolder(const HeldFolder&) = delete;
  HeldFolder& operator=(const HeldFolder&) = delete;

  // These files take the place of those that were published before, all together or none: written beside, then swapped
  // with the whole folder in one operation of the file system; one by one where other files lie in it or it cannot be
  // moved. Throws harness::InputError, with the folder as it was.
  void publish(const std::vector<File>& files);
  // Removes every file of a report and its bundles.
  void clear();
  // As clear(), and removes the folder where it then is empty and was made here: nothing was run.
  void abandon();

 private:
  bool swap(const std::filesystem::path& draft);
  std::filesystem::path folder_;
  bool made_ = false;
  int lock_ = -1;  // of the folder itself
};

}  // namespace plumbline::reports
