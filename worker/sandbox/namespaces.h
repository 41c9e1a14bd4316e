// Namespaces of the worker's own: mounts, System V IPC, host name, and, for an ordinary
// user, users. Not the network: iperf3 measures the host's.
#pragma once

#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// kNotOffered where we may not make them (a container's filter, a unit with
// RestrictNamespaces); the process is then as before. An ordinary user keeps its number and
// has, until it gives them up, all capabilities within. Before not-dumpable, which would
// keep us from writing the user map. Single-threaded. Clears the parent-death signal.
[[nodiscard]] LayerState EnterNamespaces();

}  // namespace iperf3_exporter
