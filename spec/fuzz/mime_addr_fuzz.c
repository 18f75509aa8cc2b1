/*
** mime_addr_fuzz.c: any text as an address list, as an envelope, and as a header with addresses.
**
** What holds for all input: results are UTF-8; what the strict reader takes holds no octet that could
** end a path or a line, and is read as the same address by the tolerant one; what is written from a
** clean list is read back clean.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/addr.h"
#include "mime/charset.h"
#include "mime/recipients.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static void check_entry(struct lm_arena *a, const struct lm_addr *addr, bool clean) {
  struct lm_addr_list again;
  struct lm_str text;
  const char *why;
  must(lm_utf8_valid(addr->name) && lm_utf8_valid(addr->local) && lm_utf8_valid(addr->domain));
  if (!clean || addr->kind != LM_ADDR_MAILBOX || lm_str_breaks_line(addr->name)) return;
  must(addr->local.p && addr->domain.n);
  must(lm_addr_format(a, addr, &text, &why) && lm_addr_list(a, text, &again));
  must(again.count == 1 && again.defects == 0);
  must(lm_str_eq(again.first->local, addr->local) && lm_str_eq(again.first->domain, addr->domain));
  must(lm_str_eq(again.first->name, addr->name));
}

static void check_envelope(struct lm_arena *a, struct lm_str text) {
  struct lm_addr addr;
  struct lm_addr_list list;
  struct lm_str spec;
  const char *why = "";
  if (!lm_addr_envelope(a, text, LM_ADDR_NULL_REFUSED, &addr, &why)) {
    must(why != NULL);
    return;
  }
  must(lm_addr_spec(a, &addr, &spec) && spec.n <= LM_MAILBOX && !lm_str_breaks_line(spec));
  must(spec.p[0] == '"' || (!memchr(spec.p, ' ', spec.n) && !memchr(spec.p, '>', spec.n)));
  must(lm_addr_list(a, text, &list) && list.count == 1 && list.defects == 0);
  must(lm_str_eq(list.first->local, addr.local));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_arena a = {NULL, 0};
  struct lm_str text = {(const char *)data, n};
  struct lm_addr_list list;
  struct lm_recipients all;
  const struct lm_addr *addr;
  must(lm_addr_list(&a, text, &list));
  must((list.why != NULL) == (list.defects > 0) && list.offset <= n);
  for (addr = list.first; addr; addr = addr->next) check_entry(&a, addr, list.defects == 0);
  check_envelope(&a, text);
  must(lm_recipients(&a, text, &all) || all.why);
  lm_arena_free(&a);
  return 0;
}
