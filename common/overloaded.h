// Combines function objects for std::visit.
#pragma once

namespace iperf3_exporter {

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace iperf3_exporter
