// Whether this is a build with a sanitizer. Its runtime needs terabytes of address space, system
// calls that our filters do not allow, and a helper that traces the process when it ends. Such a
// build therefore reports those layers as not offered. It is for tests and is never shipped.
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
