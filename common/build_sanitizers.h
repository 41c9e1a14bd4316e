// Whether this build has a sanitizer. The sanitizer's runtime needs terabytes of address space,
// system calls that our filters deny, and a tracer at exit, so such a build reports those layers as
// not offered. It is for tests and is never shipped.
#pragma once

namespace iperf3_exporter {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kBuiltWithSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
inline constexpr bool kBuiltWithSanitizer = true;
#else
inline constexpr bool kBuiltWithSanitizer = false;
#endif
#else
inline constexpr bool kBuiltWithSanitizer = false;
#endif

}  // namespace iperf3_exporter
