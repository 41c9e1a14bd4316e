// The options of a test, and the description of the installed iperf3, as fields of a message. Pure.
#pragma once

#include "common/iperf3/iperf3_description.h"
#include "common/wire/frame_fields.h"

namespace iperf3_exporter::wire {

void PutAddress(Writer& out, const IpAddress& address);
[[nodiscard]] IpAddress GetAddress(Reader& in, const char* field);

// Row by row. The reader refuses what is outside of a row's bounds.
void PutTest(Writer& out, const TestOptions& test);
[[nodiscard]] TestOptions GetTest(Reader& in);

void PutCapabilities(Writer& out, const Iperf3Capabilities& capabilities);
[[nodiscard]] Iperf3Capabilities GetCapabilities(Reader& in);

// The reader refuses a version that is not printable ASCII: pages show it.
void PutIperf3(Writer& out, const Iperf3Description& iperf3);
[[nodiscard]] Iperf3Description GetIperf3(Reader& in);

}  // namespace iperf3_exporter::wire
