/*
** base_chars_test.c: the table of character classes against the sets as the standards write them,
** octet by octet, and the comparisons of text.
*/
#include "check.h"

static bool among(int c, const char *set) {
  return c != 0 && strchr(set, c) != NULL;
}

static bool is_ctl(int c) {
  return c < 32 || c == 127;
}

/* RFC 9051 §9: atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials /
** resp-specials; ATOM-CHAR is any CHAR (1..127) but those. */
static bool is_atom_char(int c) {
  return c > 0 && c < 128 && !is_ctl(c) && !among(c, "(){ %*\"\\]");
}

/* RFC 5322 §3.2.3 */
static bool is_atext(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         among(c, "!#$%&'*+-/=?^_`{|}~");
}

/* RFC 2045 §5.1: token = 1*<any (US-ASCII) CHAR except SPACE, CTLs, or tspecials> */
static bool is_token(int c) {
  return c > 32 && c < 127 && !among(c, "()<>@,;:\\\"/[]?=");
}

static void table(void) {
  int c;
  for (c = 0; c < 256; c++) {
    char ch = (char)c;
    bool digit = c >= '0' && c <= '9';
    bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    CHECK(lm_is(ch, LM_DIGIT) == digit);
    CHECK(lm_is(ch, LM_ALPHA) == alpha);
    CHECK(lm_is(ch, LM_IMAP_ATOM) == is_atom_char(c));
    CHECK(lm_is(ch, LM_IMAP_ASTR) == (is_atom_char(c) || c == ']'));
    CHECK(lm_is(ch, LM_IMAP_TAG) == ((is_atom_char(c) || c == ']') && c != '+'));
    CHECK(lm_is(ch, LM_MIME_ATEXT) == is_atext(c));
    CHECK(lm_is(ch, LM_MIME_TOKEN) == is_token(c));
    CHECK(lm_is(ch, LM_HEX) == (digit || among(c, "abcdefABCDEF")));
    CHECK(lm_is(ch, LM_PRINT) == (c >= 33 && c <= 126));
    CHECK(lm_is(ch, LM_SPACE) == (c == ' ' || c == '\t'));
    CHECK(lm_is(ch, LM_B64) == (digit || alpha || c == '+' || c == '/'));
    CHECK(lm_lower(ch) == (c >= 'A' && c <= 'Z' ? (char)(c + 32) : ch));
    CHECK(lm_upper(ch) == (c >= 'a' && c <= 'z' ? (char)(c - 32) : ch));
  }
}

static void comparisons(void) {
  CHECK(lm_str_ieq(str("UidNext"), str("uidnexT")) && !lm_str_ieq(str("UID"), str("UIDNEXT")));
  CHECK(!lm_str_ieq(str("UIDNEXT"), str("UID")) && lm_str_ieq(LM_NOSTR, LM_STR("")));
  CHECK(!lm_str_ieq(str("["), str("{")) && !lm_str_ieq(str("@"), str("`")));
  CHECK(lm_str_eq(LM_NOSTR, LM_STR("")) && lm_str_eq(LM_STR("a\0b"), LM_STR("a\0b")));
  CHECK(!lm_str_eq(LM_STR("a\0b"), LM_STR("a\0c")) && !lm_str_eq(str("a"), str("A")));
  CHECK(lm_str_istarts(str("STARTTLS"), str("start")) && !lm_str_istarts(str("ST"), str("start")));
  CHECK(LM_IS(str("noop"), "NOOP"));
}

/* Every place in strings of every length around the words that are read at once. */
static void scans(void) {
  static const char breakers[] = {'\r', '\n', '\0'},
                    others[] = {'\1', '\t', '\v', '\f', 14, '\x7F', '\x80', '\xFF'};
  char text[40];
  size_t n, at, i;
  for (n = 0; n <= sizeof text; n++) {
    struct lm_str s = {text, n};
    memset(text, 'x', sizeof text);
    CHECK(lm_str_is_ascii(s) && !lm_str_breaks_line(s));
    for (at = 0; at < n; at++) {
      text[at] = (char)0x80;
      CHECK(!lm_str_is_ascii(s));
      text[at] = 0x7f;
      CHECK(lm_str_is_ascii(s));
      for (i = 0; i < sizeof breakers; i++) {
        text[at] = breakers[i];
        CHECK(lm_str_breaks_line(s));
      }
      for (i = 0; i < sizeof others; i++) {
        text[at] = others[i];
        CHECK(!lm_str_breaks_line(s));
      }
      text[at] = 'x';
    }
  }
}

int main(void) {
  table();
  comparisons();
  scans();
  return check_end();
}
