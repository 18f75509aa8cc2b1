/*
** idn.c: internationalized domain names to A-labels.
**
** What comes out of the mapping is checked once more: characters that map to "/" or "@" (U+2100,
** U+FF20) must not become part of a name. The library's own STD3 rules are off because they drop
** such characters in silence: "x@y.org" would become "xy.org".
*/
#include "mime/idn.h"

#include <idn2.h>
#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"

enum { LABEL_MAX = 63, UTF8_MAX = 1024 };

/* Domain = sub-domain *("." sub-domain); sub-domain = Let-dig [Ldh-str] */
bool lm_idn_is_hostname(struct lm_str s) {
  const char *p = s.p, *end = p + s.n;
  if (s.n == 0 || s.n > LM_DOMAIN) return false;
  for (;; p++) {
    const char *label = p;
    while (p < end && (lm_is(*p, LM_ALPHA | LM_DIGIT) || *p == '-')) p++;
    if (p == label || p - label > LABEL_MAX || *label == '-' || p[-1] == '-') return false;
    if (p == end) return true;
    if (*p != '.') return false;
  }
}

static bool is_printable(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (!lm_is(s.p[i], LM_PRINT)) return false;
  }
  return s.n > 0 && s.n <= LM_DOMAIN;
}

bool lm_idn_to_ascii(struct lm_arena *a, struct lm_str domain, struct lm_str *out) {
  char text[UTF8_MAX + 1];
  uint8_t *name = NULL;
  int code;
  *out = domain;
  if (lm_str_is_ascii(domain)) return is_printable(domain);
  *out = LM_STR("");
  if (domain.n > UTF8_MAX || memchr(domain.p, '\0', domain.n) || !lm_utf8_valid(domain))
    return false;
  memcpy(text, domain.p, domain.n);
  text[domain.n] = '\0';
  code = idn2_lookup_u8((const uint8_t *)text, &name, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (code == IDN2_MALLOC) *out = LM_NOSTR;
  if (code != IDN2_OK) return false;
  *out = lm_arena_copy(a, (struct lm_str){(const char *)name, strlen((const char *)name)});
  idn2_free(name);
  return out->p != NULL && lm_idn_is_hostname(*out);
}
