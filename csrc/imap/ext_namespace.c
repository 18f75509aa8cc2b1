/*
** ext_namespace.c: NAMESPACE (RFC 2342, RFC 9051 §7.3.4): where a server keeps which mailboxes.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* Namespace-Response-Extension = SP string SP "(" string *(SP string) ")"; their names become keys
** of `out`. What has another form is passed over. */
static bool extensions(struct lm_cursor *c, const struct lm_imap_value *from,
                       struct lm_imap_value *out) {
  for (; from && from->next; from = from->next->next) {
    struct lm_str name = lm_imap_text(from);
    struct lm_imap_value *v;
    if (name.n == 0 || from->next->kind != LM_VALUE_LIST) continue;
    if ((v = lm_imap_child(c, out, name)) == NULL) return false;
    v->kind = LM_VALUE_LIST;
    v->u = from->next->u;
    v->count = from->next->count;
  }
  return true;
}

/* "(" string SP (<"> QUOTED-CHAR <"> / nil) *(Namespace-Response-Extension) ")" */
static bool one(struct lm_cursor *c, const struct lm_imap_how *how, const struct lm_imap_value *in,
                struct lm_imap_value *out) {
  const struct lm_imap_value *first = in->kind == LM_VALUE_LIST ? in->u.list.first : NULL;
  struct lm_imap_value *entry, *more;
  struct lm_str prefix = lm_imap_text(first), delimiter;
  if (first == NULL || first->next == NULL) return true;
  delimiter = lm_imap_text(first->next);
  if ((entry = lm_imap_child(c, out, LM_NOSTR)) == NULL) return false;
  lm_imap_make_list(entry);
  if (!lm_imap_to_utf8(c, how, &prefix)) return false;
  if (!lm_imap_add_text(c, entry, LM_STR("prefix"), prefix.p ? prefix : LM_STR(""))) return false;
  if (delimiter.n && !lm_imap_add_text(c, entry, LM_STR("delimiter"), delimiter)) return false;
  if (first->next->next == NULL) return true;
  if ((more = lm_imap_child(c, entry, LM_STR("extensions"))) == NULL) return false;
  lm_imap_make_list(more);
  return extensions(c, first->next->next, more);
}

/* Namespace = nil / "(" 1*( one ) ")" */
static bool some(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_str key,
                 struct lm_imap_value *out) {
  struct lm_imap_value in = {.kind = LM_VALUE_NIL};
  struct lm_imap_value *list = lm_imap_child(c, out, key);
  const struct lm_imap_value *v;
  if (list == NULL || !lm_imap_sp(c) || !lm_imap_value(c, &in)) return false;
  lm_imap_make_list(list);
  if (in.kind != LM_VALUE_LIST) return true;
  for (v = in.u.list.first; v; v = v->next) {
    if (!one(c, how, v, list)) return false;
  }
  return true;
}

/* "NAMESPACE" SP Namespace SP Namespace SP Namespace: personal, other users', shared */
static bool data_namespace(struct lm_cursor *c, const struct lm_imap_how *how,
                           struct lm_imap_value *out) {
  lm_imap_make_list(out);
  return some(c, how, LM_STR("personal"), out) && some(c, how, LM_STR("other"), out) &&
         some(c, how, LM_STR("shared"), out);
}

static const struct lm_imap_data data[] = {
    {LM_NAME("NAMESPACE"), LM_IMAP_G_OTHER, data_namespace},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

const struct lm_imap_ext lm_imap_ext_namespace = {"NAMESPACE", NULL, data, NULL};
