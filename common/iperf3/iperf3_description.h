// The installed iperf3, as reported by a worker that inspected it.
#pragma once

#include <cstdint>
#include <string>

#include "common/iperf3/option_table.h"

namespace iperf3_exporter {

// Differs after the program's file was replaced or rewritten; from stat(2).
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  bool operator==(const FileIdentity&) const = default;
};

struct Iperf3Description {
  std::string version;  // "3.12"; printable ASCII, at most kMaxVersionTextBytes
  Iperf3Capabilities capabilities;
  FileIdentity program;

  bool operator==(const Iperf3Description&) const = default;
};

}  // namespace iperf3_exporter
