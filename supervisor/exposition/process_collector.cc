#include "supervisor/exposition/process_collector.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <ctime>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

#include "supervisor/exposition/family_builder.h"

namespace iperf3_exporter {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Numbers of /proc/self/stat (proc(5)), counted from the field behind the command's name.
constexpr std::size_t kStartTime = 19;
constexpr std::size_t kVirtualBytes = 20;
constexpr std::size_t kResidentPages = 21;
constexpr std::size_t kStatFields = 22;

using StatFields = std::array<double, kStatFields>;

std::optional<StatFields> ReadStat(int fd) {
  std::array<char, 1024> buffer{};
  const ssize_t length = fd < 0 ? -1 : ::pread(fd, buffer.data(), buffer.size(), 0);
  if (length <= 0) return std::nullopt;
  std::string_view text(buffer.data(), static_cast<std::size_t>(length));
  // The command's name stands in parentheses and may hold anything.
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 2);
  StatFields fields{};
  for (double& field : fields) {
    // The state is a letter and stays 0.
    std::from_chars(text.data(), text.data() + text.size(), field);
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    text.remove_prefix(space + 1);
  }
  return fields;
}

// A listing does not count the descriptor that it reads the directory by.
std::optional<double> CountDescriptors(int directory_fd) {
  struct stat status {};
  if (directory_fd < 0) return std::nullopt;
  if (::fstat(directory_fd, &status) == 0 && status.st_size > 0) {
    return static_cast<double>(status.st_size);
  }
  const auto close_directory = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close_directory)> directory(::opendir("/proc/self/fd"),
                                                                  close_directory);
  if (!directory) return std::nullopt;
  double count = -1;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

double BootSeconds() {
  timespec now{};
  timespec since_boot{};
  if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
  if (::clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) return 0;
  return static_cast<double>(now.tv_sec - since_boot.tv_sec) +
         static_cast<double>(now.tv_nsec - since_boot.tv_nsec) / 1e9;
}

std::optional<double> Limit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return std::nullopt;
  if (limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<double>::infinity();
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

ProcessCollector::ProcessCollector()
    : stat_(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)),
      fd_directory_(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      boot_seconds_(BootSeconds()) {}

std::vector<MetricFamily> ProcessCollector::Collect() const {
  std::vector<MetricFamily> families;
  const auto add = [&families](const char* name, const char* help, std::optional<double> value,
                               MetricType type = MetricType::Gauge) {
    if (value) AddFamily(families, type, name, help, *value);
  };
  timespec cpu{};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
    add("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
        static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9,
        MetricType::Counter);
  }
  add("process_open_fds", "Number of open file descriptors.",
      CountDescriptors(fd_directory_.get()));
  add("process_max_fds", "Maximum number of open file descriptors.", Limit(RLIMIT_NOFILE));
  add("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.",
      Limit(RLIMIT_AS));
  if (const auto stat = ReadStat(stat_.get())) {
    const auto ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto page_bytes = static_cast<double>(::sysconf(_SC_PAGESIZE));
    add("process_virtual_memory_bytes", "Virtual memory size in bytes.", (*stat)[kVirtualBytes]);
    add("process_resident_memory_bytes", "Resident memory size in bytes.",
        (*stat)[kResidentPages] * page_bytes);
    if (boot_seconds_ > 0) {
      add("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
          boot_seconds_ + (*stat)[kStartTime] / ticks_per_second);
    }
  }
  return families;
}

}  // namespace iperf3_exporter
