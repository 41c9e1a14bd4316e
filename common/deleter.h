// For std::unique_ptr of a C library's handle: calls `kFree`, the library's function.
#pragma once

namespace iperf3_exporter {

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* handle) const {
    kFree(handle);
  }
};

}  // namespace iperf3_exporter
