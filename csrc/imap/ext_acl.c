/*
** ext_acl.c: who may do what with a mailbox: ACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).
**
** Rights are strings of letters, as they came; an identifier that begins with "-" takes rights away.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* SP mailbox, as the field "name". */
static bool name(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_value *out) {
  struct lm_str text;
  lm_imap_make_list(out);
  return lm_imap_sp(c) && lm_imap_word_mailbox(c, how, &text) &&
         lm_imap_add_text(c, out, LM_STR("name"), text);
}

static bool add_astring(struct lm_cursor *c, struct lm_imap_value *out, struct lm_str key) {
  struct lm_str text;
  return lm_imap_sp(c) && lm_imap_astring(c, &text) && lm_imap_add_text(c, out, key, text);
}

/* True where another word follows a space. */
static bool more(const struct lm_cursor *c) {
  return !lm_imap_at_end(c);
}

/* "ACL" SP mailbox *(SP identifier SP rights) */
static bool data_acl(struct lm_cursor *c, const struct lm_imap_how *how,
                     struct lm_imap_value *out) {
  struct lm_imap_value *rights;
  struct lm_str identifier;
  if (!name(c, how, out)) return false;
  if ((rights = lm_imap_child(c, out, LM_STR("rights"))) == NULL) return false;
  lm_imap_make_list(rights);
  while (more(c)) {
    if (!lm_imap_sp(c) || !lm_imap_astring(c, &identifier)) return false;
    if (!add_astring(c, rights, identifier)) return false;
  }
  return true;
}

/* "LISTRIGHTS" SP mailbox SP identifier SP rights *(SP rights) */
static bool data_listrights(struct lm_cursor *c, const struct lm_imap_how *how,
                            struct lm_imap_value *out) {
  struct lm_imap_value *optional;
  if (!name(c, how, out) || !add_astring(c, out, LM_STR("identifier"))) return false;
  if (!add_astring(c, out, LM_STR("required"))) return false;
  if ((optional = lm_imap_child(c, out, LM_STR("optional"))) == NULL) return false;
  lm_imap_make_list(optional);
  while (more(c)) {
    if (!add_astring(c, optional, LM_NOSTR)) return false;
  }
  return true;
}

/* "MYRIGHTS" SP mailbox SP rights */
static bool data_myrights(struct lm_cursor *c, const struct lm_imap_how *how,
                          struct lm_imap_value *out) {
  return name(c, how, out) && add_astring(c, out, LM_STR("rights"));
}

static const struct lm_imap_data data[] = {
    {LM_NAME("ACL"), LM_IMAP_G_ABOUT, data_acl},
    {LM_NAME("LISTRIGHTS"), LM_IMAP_G_ABOUT, data_listrights},
    {LM_NAME("MYRIGHTS"), LM_IMAP_G_ABOUT, data_myrights},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

const struct lm_imap_ext lm_imap_ext_acl = {"ACL", NULL, data, NULL};
