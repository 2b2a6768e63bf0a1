#include "reports/held_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "harness/error.h"

namespace plumbline::reports {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kOurs = {"report.json", "junit.xml",    "report.md",
                                                   "report.html", "compare.html", "bundles"};
constexpr const char* kDraft = ".draft";

bool is_ours(const fs::path& name) {
  return name == kDraft || std::find(kOurs.begin(), kOurs.end(), name.string()) != kOurs.end();
}

int open_folder(const fs::path& folder) { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

bool same_folder(int descriptor, const fs::path& folder) {
  struct stat held = {}, there = {};
  return fstat(descriptor, &held) == 0 && stat(folder.c_str(), &there) == 0 && held.st_ino == there.st_ino &&
         held.st_dev == there.st_dev;
}

// -1: another run holds it.
int hold(const fs::path& folder) {
  for (;;) {
    const int descriptor = open_folder(folder);
    if (descriptor < 0) return descriptor;
    // File systems without locks are used without.
    const bool held = flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (held && same_folder(descriptor, folder)) return descriptor;
    close(descriptor);
    if (!held) return -1;
  }
}

}  // namespace

HeldFolder::HeldFolder(fs::path folder) {  // NOLINT(performance-unnecessary-value-param): it is kept
  std::error_code error;
  made_ = !fs::exists(folder, error);
  check_writable(folder);
  folder_ = fs::canonical(folder, error);
  if (error) folder_ = std::move(folder);
  lock_ = hold(folder_);
  if (lock_ < 0)
    throw harness::InputError(
        fmt::format("report folder '{}': another run is writing into it: wait for its end, or give another folder as "
                    "--report",
                    folder_.string()));
  clear();
}

HeldFolder::~HeldFolder() {
  std::error_code ignored;
  fs::remove_all(folder_ / kDraft, ignored);
  if (lock_ >= 0) close(lock_);
}

void HeldFolder::clear() {
  std::error_code error;
  for (const std::string_view name : kOurs) fs::remove_all(folder_ / name, error);
  fs::remove_all(folder_ / kDraft, error);
}

void HeldFolder::abandon() {
  clear();
  std::error_code error;
  if (made_) fs::remove(folder_, error);  // not one that holds something
}

// The draft becomes the folder, and the folder the draft. False: nothing happened.
bool HeldFolder::swap(const fs::path& draft) {
  std::error_code error;
  const fs::path here = fs::current_path(error) / "";  // whose place it would lose
  if (here.string().starts_with((folder_ / "").string())) return false;
  for (const auto& entry : fs::directory_iterator(folder_, error))
    if (!is_ours(entry.path().filename())) return false;
  const int lock = open_folder(draft);
  if (error || lock < 0) return false;
  flock(lock, LOCK_EX | LOCK_NB);
  const fs::path beside = folder_.parent_path() / fmt::format(".{}.draft", folder_.filename().string());
  fs::remove_all(beside, error);
  if (rename(draft.c_str(), beside.c_str()) != 0) {
    close(lock);
    return false;
  }
  // What failing cases left lies in the folder until now.
  const bool bundles = rename((folder_ / "bundles").c_str(), (beside / "bundles").c_str()) == 0;
  if (renameat2(AT_FDCWD, beside.c_str(), AT_FDCWD, folder_.c_str(), RENAME_EXCHANGE) != 0) {
    if (bundles) fs::rename(beside / "bundles", folder_ / "bundles", error);
    fs::rename(beside, draft, error);
    close(lock);
    return false;
  }
  fs::remove_all(beside, error);
  close(lock_);
  lock_ = lock;
  return true;
}

void HeldFolder::publish(const std::vector<File>& files) {
  const fs::path draft = folder_ / kDraft;
  std::error_code error;
  fs::remove_all(draft, error);
  try {
    check_writable(draft);
    write_files(draft, files);
  } catch (const harness::InputError&) {
    fs::remove_all(draft, error);
    throw;
  }
  if (swap(draft)) return;
  for (const File& file : files) {
    fs::rename(draft / file.name, folder_ / file.name, error);
    if (error)
      throw harness::InputError(
          fmt::format("report folder '{}': {}: {}", folder_.string(), file.name, error.message()));
  }
  fs::remove_all(draft, error);
}

}  // namespace plumbline::reports
