/*
** ext_quota.c: QUOTA and QUOTAROOT (RFC 9208 §4.2, RFC 2087).
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* quota-resource = resource-name SP resource-usage SP resource-limit */
static bool resource(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v;
  struct lm_str name;
  uint64_t usage, limit;
  if (!lm_imap_atom(c, &name) || !lm_imap_lower(c, name, &name)) return false;
  if (!lm_imap_sp(c) || !lm_take_u64(c, &usage)) return false;
  if (!lm_imap_sp(c) || !lm_take_u64(c, &limit)) return false;
  if ((v = lm_imap_child(c, out, name)) == NULL) return false;
  lm_imap_make_list(v);
  return lm_imap_add_number(c, v, LM_STR("usage"), usage) &&
         lm_imap_add_number(c, v, LM_STR("limit"), limit);
}

/* "QUOTA" SP quota-root-name SP "(" [quota-resource *(SP quota-resource)] ")" */
static bool data_quota(struct lm_cursor *c, const struct lm_imap_how *how,
                       struct lm_imap_value *out) {
  struct lm_imap_value *list;
  struct lm_str root;
  (void)how;
  lm_imap_make_list(out);
  if (!lm_imap_sp(c) || !lm_imap_astring(c, &root) || !lm_imap_sp(c)) return false;
  if (!lm_imap_add_text(c, out, LM_STR("root"), root)) return false;
  if ((list = lm_imap_child(c, out, LM_STR("resources"))) == NULL) return false;
  lm_imap_make_list(list);
  if (!lm_expect(c, '(', "resources")) return false;
  while (!lm_accept(c, ')')) {
    if (!resource(c, list)) return false;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* "QUOTAROOT" SP mailbox *(SP quota-root-name) */
static bool data_quotaroot(struct lm_cursor *c, const struct lm_imap_how *how,
                           struct lm_imap_value *out) {
  struct lm_imap_value *roots;
  struct lm_str text;
  lm_imap_make_list(out);
  if (!lm_imap_sp(c) || !lm_imap_word_mailbox(c, how, &text)) return false;
  if (!lm_imap_add_text(c, out, LM_STR("name"), text)) return false;
  if ((roots = lm_imap_child(c, out, LM_STR("roots"))) == NULL) return false;
  lm_imap_make_list(roots);
  while (!lm_imap_at_end(c)) {
    if (!lm_imap_sp(c) || !lm_imap_astring(c, &text)) return false;
    if (!lm_imap_add_text(c, roots, LM_NOSTR, text)) return false;
  }
  return true;
}

static const struct lm_imap_data data[] = {
    {LM_NAME("QUOTA"), LM_IMAP_G_OTHER, data_quota},
    {LM_NAME("QUOTAROOT"), LM_IMAP_G_OTHER, data_quotaroot},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

const struct lm_imap_ext lm_imap_ext_quota = {"QUOTA", NULL, data, NULL};
