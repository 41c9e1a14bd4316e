#include "common/quoted_text.h"

#include <gtest/gtest.h>

#include <string>

namespace iperf3_exporter {
namespace {

TEST(QuotedTextTest, EscapesControlCharactersAndQuotes) {
  EXPECT_EQ(QuoteText("plain", 100), "\"plain\"");
  EXPECT_EQ(QuoteText("", 100), "\"\"");
  EXPECT_EQ(QuoteText("a\"b\\c", 100), R"("a\"b\\c")");
  EXPECT_EQ(QuoteText("a\nb\rc\td", 100), R"("a\nb\rc\td")");
  EXPECT_EQ(QuoteText(std::string_view("\0\x1b\x7f", 3), 100), R"("\u0000\u001b\u007f")");
  EXPECT_EQ(QuoteText("\xc2\x9b", 100), R"("\u009b")");
}

TEST(QuotedTextTest, KeepsUtf8AndReplacesOtherBytes) {
  EXPECT_EQ(QuoteText("größe €😀", 100), "\"größe €😀\"");
  EXPECT_EQ(QuoteText("\xff\xfe", 100), R"("\ufffd\ufffd")");
  EXPECT_EQ(QuoteText("a\xc3", 100), R"("a\ufffd")");
}

TEST(QuotedTextTest, CutsBetweenCharacters) {
  EXPECT_EQ(QuoteText("abcdef", 3), "\"abc…\"");
  EXPECT_EQ(QuoteText("abcdef", 6), "\"abcdef\"");
  EXPECT_EQ(QuoteText("ab€", 4), "\"ab…\"");
  EXPECT_EQ(QuoteText("ab€", 5), "\"ab€\"");
}

TEST(QuotedTextTest, PlainTextHasNoControlCharacters) {
  for (const std::string good : {"", "a b", "größe €😀", "\xc2\xa0"}) {
    EXPECT_TRUE(IsPlainText(good)) << good;
  }
  for (const std::string bad :
       {"a\nb", "\x1b", "\x7f", "\xc2\x80", "a\xc2\x9b", "\xc2\x9f", "\x9b"}) {
    EXPECT_FALSE(IsPlainText(bad)) << QuoteText(bad, 100);
  }
}

TEST(QuotedTextTest, AcceptsUtf8OfRfc3629Only) {
  for (const std::string good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                 "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  // Overlong, surrogates, above U+10FFFF, truncated, lone continuation.
  for (const std::string bad : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
                                "\xc2", "\xe2\x82", "\xf0\x9f\x98", "a\x80"}) {
    EXPECT_FALSE(IsUtf8(bad)) << QuoteText(bad, 100);
  }
}

}  // namespace
}  // namespace iperf3_exporter
