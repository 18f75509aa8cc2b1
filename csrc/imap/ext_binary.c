/*
** ext_binary.c: BINARY (RFC 3516): the size of a part once its transfer encoding is undone.
**
** BINARY[...] itself is an item of the base protocol (RFC 9051 took it up), read like BODY[...]. What
** the size says binds nobody: octets are counted where they come.
*/
#include "imap/ext.h"
#include "imap/scan.h"

static struct lm_imap_value *sizes(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_value *v;
  for (v = f->other.u.list.first; v; v = v->next) {
    if (lm_str_eq(v->key, LM_STR("binary_size"))) return v;
  }
  if ((v = lm_imap_fetch_other(c, f, LM_STR("binary_size"))) != NULL) lm_imap_make_list(v);
  return v;
}

/* "BINARY.SIZE" section-binary SP number; all sizes of a message are one field, by section */
static bool item_binary_size(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_value *all;
  struct lm_str section;
  uint64_t n;
  if (!lm_imap_fetch_section_name(c, &section) || !lm_imap_sp(c)) return false;
  if (lm_imap_nil(c)) return true; /* no such part */
  if (!lm_take_u64(c, &n) || (all = sizes(c, f)) == NULL) return false;
  return lm_imap_add_number(c, all, section, n);
}

static const struct lm_imap_item items[] = {
    {LM_NAME("BINARY.SIZE"), item_binary_size},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_binary = {"BINARY", items, NULL, NULL};
