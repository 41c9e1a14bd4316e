// Namespaces of the worker's own: mounts, System V IPC, host name and, for an ordinary user, users.
// Not the network, because iperf3 measures that of the host.
#pragma once

#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// Returns kNotOffered where we may not create them (the filter of a container, a unit with
// RestrictNamespaces); then nothing has changed. An ordinary user keeps its number and has all
// capabilities inside, until it drops them. Must precede not-dumpable, with which we could not
// write the user map. Single-threaded. Clears the parent-death signal.
[[nodiscard]] LayerState EnterNamespaces();

}  // namespace iperf3_exporter
