/*
** ext_gmail.c: X-GM-EXT-1, what Gmail tells of a message: its labels, and the ids of the message and
** of its conversation. No RFC: developers.google.com/gmail/imap/imap-extensions.
**
** The ids are numbers of 64 bits, which not every Lua can hold: they are handed on as digits.
*/
#include "imap/ext.h"
#include "imap/scan.h"

static bool item_id(struct lm_cursor *c, struct lm_imap_fetch *f, struct lm_str key) {
  struct lm_str id;
  if (!lm_imap_sp(c)) return false;
  if (lm_imap_nil(c)) return true;
  id = lm_span(c, LM_DIGIT);
  if (id.n == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "number");
  return lm_imap_add_text(c, &f->other, key, id);
}

static bool item_msgid(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return item_id(c, f, LM_STR("gm_msgid"));
}

static bool item_thrid(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return item_id(c, f, LM_STR("gm_thrid"));
}

/* "X-GM-LABELS" SP "(" [label *(SP label)] ")"; label = "\\" atom / astring, in modified UTF-7 */
static bool item_labels(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_value set = {.kind = LM_VALUE_NIL}, *v, *label;
  if (!lm_imap_sp(c)) return false;
  if (lm_imap_nil(c))
    lm_imap_make_list(&set);
  else if (!lm_imap_flags(c, &set))
    return false;
  for (label = set.u.list.first; label; label = label->next) {
    if (!lm_imap_from_utf7(c, &label->u.text)) return false;
  }
  if ((v = lm_imap_fetch_other(c, f, LM_STR("gm_labels"))) == NULL) return false;
  v->kind = LM_VALUE_SET;
  v->count = set.count;
  v->u = set.u;
  return true;
}

static const struct lm_imap_item items[] = {
    {LM_NAME("X-GM-MSGID"), item_msgid},
    {LM_NAME("X-GM-THRID"), item_thrid},
    {LM_NAME("X-GM-LABELS"), item_labels},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_gmail = {"X-GM-EXT-1", items, NULL, NULL};
