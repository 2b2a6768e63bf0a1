#include "cuda/state/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "cuda/api/checkpoint.h"
#include "cuda/state/json.h"

namespace plumbline {
namespace {

using nlohmann::json;
using Kind = CheckpointError::Kind;

static_assert(std::endian::native == std::endian::little);
constexpr uint64_t kMostHeader = 100'000'000;  // as other readers of the format allow
constexpr uint64_t kLength = sizeof(uint64_t), kChecksum = 4;
constexpr size_t kPiece = size_t(1) << 20;
constexpr const char* kChecksumName = "crc32";

[[noreturn]] void fail(Kind kind, const std::filesystem::path& path, std::string_view what) {
  throw CheckpointError(kind, fmt::format("{}: {}", path.string(), what));
}

constexpr std::string_view kDraft = ".partial";
constexpr size_t kDigits = 16;

// A file on its way to its name: <name>.<16 random hexadecimal digits>.partial, locked while somebody writes it. A
// killed program leaves its draft behind; the next one that writes the same name removes it.
class Draft {
 public:
  explicit Draft(const std::filesystem::path& path) : path_(path) {
    remove_abandoned();
    constexpr mode_t kMode = 0666;  // what the umask leaves of it
    std::random_device random;
    for (;;) {
      temporary_ = path_;
      temporary_ += fmt::format(".{:08x}{:08x}{}", uint32_t(random()), uint32_t(random()), kDraft);
      file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
      if (file_ < 0 && errno == EEXIST) continue;
      if (file_ < 0) give_up("cannot be created");
      // Between the two calls another may have taken the file for an abandoned one. Where there are no locks, nobody
      // does.
      struct stat now = {};
      if (flock(file_, LOCK_EX | LOCK_NB) != 0 || fstat(file_, &now) != 0 || now.st_nlink > 0) return;
      close(file_);
    }
  }
  ~Draft() {
    if (file_ >= 0) close(file_);
    if (!done_) unlink(temporary_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  void write(std::span<const std::byte> bytes) {
    for (size_t at = 0; at < bytes.size(); at += kPiece)
      checksum_ =
          crc32_z(checksum_, reinterpret_cast<const Bytef*>(bytes.data() + at), std::min(kPiece, bytes.size() - at));
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) give_up("cannot be written");
      bytes = bytes.subspan(size_t(written));
    }
  }
  uint32_t checksum() const { return uint32_t(checksum_); }

  // The bytes first, then the name, then the folder that has it.
  void put_in_place() {
    if (fsync(file_) != 0) give_up("cannot be written");
    const int closed = close(file_);
    file_ = -1;
    if (closed != 0) give_up("cannot be written");
    if (rename(temporary_.c_str(), path_.c_str()) != 0) give_up("cannot be replaced");
    done_ = true;
    const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
    const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return;  // a folder that may be written and not read
    fsync(opened);
    close(opened);
  }

 private:
  void remove_abandoned() const {
    const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
    const std::string start = path_.filename().string() + ".";
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(start) || !name.ends_with(kDraft) ||
          name.size() != start.size() + kDigits + kDraft.size() ||
          name.find_first_not_of("0123456789abcdef", start.size()) != name.size() - kDraft.size())
        continue;  // somebody else's file
      const int file = open(entry.path().c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
      if (file < 0) continue;
      if (flock(file, LOCK_EX | LOCK_NB) == 0) unlink(entry.path().c_str());
      close(file);
    }
  }
  [[noreturn]] void give_up(std::string_view what) const {
    const int error = errno;
    fail(Kind::unwritable, path_, fmt::format("{}: {}", what, std::strerror(error)));
  }

  std::filesystem::path path_, temporary_;
  int file_ = -1;
  uLong checksum_ = crc32_z(0, nullptr, 0);
  bool done_ = false;
};

}  // namespace

size_t dtype_bytes(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  return dtype == "I8" || dtype == "U8" || dtype == "BOOL" ? 1 : 0;
}

uint64_t ArrayEntry::bytes() const {
  uint64_t all = dtype_bytes(dtype);
  for (const int64_t extent : shape) all *= uint64_t(extent);
  return all;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata,
                       std::vector<ArraySource> arrays) {
  // wide elements first: every array then starts at a multiple of its element
  std::stable_sort(arrays.begin(), arrays.end(), [](const ArraySource& a, const ArraySource& b) {
    return dtype_bytes(a.entry.dtype) > dtype_bytes(b.entry.dtype);
  });
  json header = json::object();
  header["__metadata__"] = metadata;
  uint64_t end = 0;
  const auto place = [&](const ArrayEntry& entry) {
    const uint64_t begin = end;
    end += entry.bytes();
    header[entry.name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {begin, end}}};
  };
  for (const ArraySource& array : arrays) place(array.entry);
  place({kChecksumName, "U8", {int64_t(kChecksum)}});
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception&) {
    throw OptionError("checkpoint: a name or note is not UTF-8");
  }
  text.resize((text.size() + kLength - 1) / kLength * kLength, ' ');
  const uint64_t length = text.size();
  if (length > kMostHeader)
    fail(Kind::unwritable, path, fmt::format("{} bytes of header, at most {}", length, kMostHeader));

  Draft draft(path);
  draft.write(std::as_bytes(std::span(&length, 1)));
  draft.write(std::as_bytes(std::span(text)));
  for (const ArraySource& array : arrays) draft.write(array.read());
  const uint32_t checksum = draft.checksum();
  draft.write(std::as_bytes(std::span(&checksum, 1)));
  draft.put_in_place();
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path, std::string_view format) : path_(std::move(path)) {
  // the destructor does not run for what a constructor throws
  struct Guard {
    int& file;
    bool keep = false;
    ~Guard() {
      if (!keep && file >= 0) close(file);
    }
  } guard{file_};
  file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat found = {};
  if (file_ < 0 || fstat(file_, &found) != 0)
    fail(Kind::unreadable, path_, fmt::format("cannot be read: {}", std::strerror(errno)));
  if (!S_ISREG(found.st_mode)) fail(Kind::unreadable, path_, "cannot be read: not a regular file");
  const auto size = uint64_t(found.st_size);
  uint64_t length = 0;
  if (size < kLength) fail(Kind::truncated, path_, fmt::format("{} bytes, expected a safetensors file", size));
  read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMostHeader)
    fail(Kind::not_a_checkpoint, path_, fmt::format("header of {} bytes, expected at most {}", length, kMostHeader));
  if (length > size - kLength)
    fail(Kind::truncated, path_, fmt::format("header of {} bytes in a file of {}", length, size));
  std::string header(length, '\0');
  read_at(kLength, std::as_writable_bytes(std::span(header)));
  data_ = kLength + length;
  try {
    parse(header, size, format);
  } catch (const json::exception&) {
    fail(Kind::altered, path_, "header: an entry is not of the type that the format says");
  }
  check_checksum(size);
  guard.keep = true;
}

SafetensorsFile::~SafetensorsFile() { close(file_); }

void SafetensorsFile::parse(std::string_view header, uint64_t file_size, std::string_view format) {
  const json root = parse_shallow(header);
  if (!root.is_object())
    fail(Kind::not_a_checkpoint, path_, "header is not a JSON object, expected a safetensors file");
  if (root.contains("__metadata__")) metadata_ = root["__metadata__"].get<std::map<std::string, std::string>>();
  const std::string is = metadata_.contains("format") ? metadata_["format"] : "";
  if (is != format) {
    const std::string_view name = format.substr(0, format.find('/') + 1);
    fail(is.starts_with(name) ? Kind::version : Kind::not_a_checkpoint, path_,
         fmt::format("format '{}', expected {}", is, format));
  }
  const uint64_t stored = file_size - data_;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto& [name, value] : root.items()) {
    if (name == "__metadata__") continue;
    ArrayEntry entry{name, value.at("dtype").get<std::string>(), {}};
    uint64_t bytes = dtype_bytes(entry.dtype);
    if (bytes == 0) fail(Kind::altered, path_, fmt::format("array '{}': unknown type '{}'", name, entry.dtype));
    for (const json& extent : value.at("shape")) {
      if (!extent.is_number_unsigned()) fail(Kind::altered, path_, fmt::format("array '{}': negative extent", name));
      const auto n = extent.get<uint64_t>();
      if (n != 0 && bytes > (uint64_t(1) << 62) / n)
        fail(Kind::altered, path_, fmt::format("array '{}': its shape is too large", name));
      bytes *= n;
      entry.shape.push_back(int64_t(n));
    }
    const json& offsets = value.at("data_offsets");
    if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
      fail(Kind::altered, path_, fmt::format("array '{}': data_offsets, expected two", name));
    const auto begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
    if (end < begin || end - begin != bytes)
      fail(Kind::altered, path_,
           fmt::format("array '{}': from byte {} to {}, expected {} bytes as shape and type say", name, begin, end,
                       bytes));
    ranges.emplace_back(begin, end);
    arrays_.emplace(name, Placed{std::move(entry), begin});
  }
  std::sort(ranges.begin(), ranges.end());
  uint64_t reached = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != reached) fail(Kind::altered, path_, fmt::format("arrays overlap or leave a gap at byte {}", reached));
    reached = end;
  }
  if (reached > stored) fail(Kind::truncated, path_, fmt::format("{} bytes of arrays, expected {}", stored, reached));
  if (reached < stored) fail(Kind::altered, path_, fmt::format("{} bytes after the last array", stored - reached));
  const auto checksum = arrays_.find(kChecksumName);
  if (checksum == arrays_.end() || checksum->second.begin + kChecksum != stored ||
      checksum->second.entry.bytes() != kChecksum)
    fail(Kind::altered, path_, fmt::format("array '{}' is not at the end", kChecksumName));
}

void SafetensorsFile::check_checksum(uint64_t file_size) const {
  std::vector<std::byte> piece(kPiece);
  uLong sum = crc32_z(0, nullptr, 0);
  for (uint64_t at = 0; at < file_size - kChecksum;) {
    const std::span now = std::span(piece).first(std::min<uint64_t>(kPiece, file_size - kChecksum - at));
    read_at(at, now);
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(now.data()), now.size());
    at += now.size();
  }
  uint32_t stored = 0;
  read_at(file_size - kChecksum, std::as_writable_bytes(std::span(&stored, 1)));
  if (stored != uint32_t(sum))
    fail(Kind::altered, path_,
         fmt::format("CRC-32 {:08x}, expected {:08x} as stored: bytes were altered", sum, stored));
}

void SafetensorsFile::read_at(uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got = pread(file_, to.data(), to.size(), off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(Kind::unreadable, path_, fmt::format("cannot be read: {}", std::strerror(errno)));
    if (got == 0) fail(Kind::truncated, path_, "became shorter while it was read");
    to = to.subspan(size_t(got));
    offset += uint64_t(got);
  }
}

std::vector<const ArrayEntry*> SafetensorsFile::entries() const {
  std::vector<const ArrayEntry*> all;
  for (const auto& [name, placed] : arrays_) all.push_back(&placed.entry);
  return all;
}

std::vector<std::byte> SafetensorsFile::read(const std::string& name) const {
  const auto at = arrays_.find(name);
  if (at == arrays_.end()) fail(Kind::altered, path_, fmt::format("array '{}' is missing", name));
  std::vector<std::byte> bytes(at->second.entry.bytes());
  read_at(data_ + at->second.begin, bytes);
  return bytes;
}

std::vector<std::byte> SafetensorsFile::read(const std::string& name, std::string_view dtype, int64_t elements) const {
  const auto at = arrays_.find(name);
  if (at != arrays_.end() &&
      (at->second.entry.dtype != dtype || at->second.entry.bytes() != uint64_t(elements) * dtype_bytes(dtype)))
    fail(Kind::altered, path_,
         fmt::format("array '{}': {} bytes of {}, expected {} of {}", name, at->second.entry.bytes(),
                     at->second.entry.dtype, uint64_t(elements) * dtype_bytes(dtype), dtype));
  return read(name);
}

}  // namespace plumbline
