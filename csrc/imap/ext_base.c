/*
** ext_base.c: FETCH items, untagged responses and response codes of the base protocol (RFC 9051 §7
** and what RFC 3501 had beside it).
*/
#include "imap/ext.h"
#include "imap/scan.h"

static bool no_room(struct lm_cursor *c) {
  return lm_cursor_fail(c, LM_E_MEMORY, "room for an item");
}

/* --- FETCH items ------------------------------------------------------------------------------ */

/* What is no whole number is no number: nothing is kept of it. */
static bool ends(struct lm_cursor *c) {
  if (lm_at_end(c) || *c->p == ' ' || *c->p == ')' || *c->p == '\r') return true;
  return lm_cursor_fail(c, LM_E_PROTOCOL, "space or end of FETCH items");
}

/* "UID" SP uniqueid; 0 passes: spec/wire/imap/quirk-uid-zero.wire */
static bool item_uid(struct lm_cursor *c, struct lm_imap_fetch *f) {
  uint32_t uid;
  if (!lm_imap_sp(c) || !lm_take_u32(c, &uid) || !ends(c)) return false;
  if ((f->has & LM_IMAP_HAS_UID) && f->uid != uid) {
    return lm_imap_fetch_defect(c->arena, f, LM_STR("UID"), "one UID") || no_room(c);
  }
  f->uid = uid;
  f->has |= LM_IMAP_HAS_UID;
  return true;
}

/* "FLAGS" SP "(" [flag-fetch *(SP flag-fetch)] ")" */
static bool item_flags(struct lm_cursor *c, struct lm_imap_fetch *f) {
  if (!lm_imap_sp(c) || !lm_imap_flags(c, &f->flags)) return false;
  f->has |= LM_IMAP_HAS_FLAGS;
  return true;
}

/* "INTERNALDATE" SP date-time */
static bool item_internaldate(struct lm_cursor *c, struct lm_imap_fetch *f) {
  if (!lm_imap_sp(c) || !lm_imap_date_time(c, &f->date)) return false;
  f->has |= LM_IMAP_HAS_DATE;
  return true;
}

/* "RFC822.SIZE" SP number64 */
static bool item_size(struct lm_cursor *c, struct lm_imap_fetch *f) {
  uint64_t size;
  bool exact = true;
  const char *from;
  if (!lm_imap_sp(c)) return false;
  from = c->p;
  if (!lm_take_u64(c, &size)) return false;
  if (!lm_at_end(c) && (*c->p == '.' || *c->p == 'e')) {
    c->p = from;
    if (!lm_imap_to_size(lm_imap_word(c), &size, &exact)) {
      return lm_cursor_fail(c, LM_E_PROTOCOL, "number");
    }
  }
  if (!ends(c)) return false;
  f->size = size;
  f->has |= LM_IMAP_HAS_SIZE;
  return exact || lm_imap_fetch_defect(c->arena, f, LM_STR("RFC822.SIZE"), "whole number") ||
         no_room(c);
}

/* "ENVELOPE" SP envelope; one that breaks the rule is read as far as it makes sense. */
static bool item_envelope(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_value tree = {.kind = LM_VALUE_NIL};
  struct lm_imap_envelope *e = lm_arena_alloc(c->arena, sizeof *e);
  const char *from, *expected;
  if (e == NULL) return no_room(c);
  if (!lm_imap_sp(c)) return false;
  from = c->p;
  if (!lm_imap_envelope(c, e)) {
    expected = c->expected;
    if (!lm_imap_back(c, from) || lm_peek(c) != '(' || !lm_imap_value(c, &tree)) return false;
    if (!lm_imap_envelope_of(c, &tree, e)) return false;
    if (!lm_imap_fetch_defect(c->arena, f, LM_STR("ENVELOPE"), expected)) return no_room(c);
  }
  f->envelope = e;
  return true;
}

/* "BODYSTRUCTURE" SP body */
static bool item_bodystructure(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return lm_imap_sp(c) && lm_imap_bodystructure(c, &f->bodystructure);
}

/* "BODY" SP body / "BODY" section ["<" number ">"] SP nstring */
static bool item_body(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return lm_peek(c) == '[' ? lm_imap_fetch_section(c, f, false) : item_bodystructure(c, f);
}

/* "BINARY" section-binary ["<" number ">"] SP (nstring / literal8) */
static bool item_binary(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return lm_imap_fetch_section(c, f, true);
}

static bool item_rfc822(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return lm_imap_fetch_rfc822(c, f, LM_STR(""));
}

static bool item_rfc822_header(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return lm_imap_fetch_rfc822(c, f, LM_STR("HEADER"));
}

static bool item_rfc822_text(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return lm_imap_fetch_rfc822(c, f, LM_STR("TEXT"));
}

static const struct lm_imap_item items[] = {
    {LM_NAME("UID"), item_uid},
    {LM_NAME("FLAGS"), item_flags},
    {LM_NAME("BODY"), item_body},
    {LM_NAME("ENVELOPE"), item_envelope},
    {LM_NAME("RFC822.SIZE"), item_size},
    {LM_NAME("INTERNALDATE"), item_internaldate},
    {LM_NAME("BODYSTRUCTURE"), item_bodystructure},
    {LM_NAME("BINARY"), item_binary},
    {LM_NAME("RFC822"), item_rfc822},
    {LM_NAME("RFC822.HEADER"), item_rfc822_header},
    {LM_NAME("RFC822.TEXT"), item_rfc822_text},
    {{NULL, 0}, NULL},
};

/* --- untagged responses ------------------------------------------------------------------------ */

/* capability-data: atoms up to the line end or "]", in upper case */
static bool capability_set(struct lm_cursor *c, struct lm_imap_value *out) {
  lm_imap_make_list(out);
  out->kind = LM_VALUE_SET;
  for (;;) {
    struct lm_str word;
    while (lm_accept(c, ' ')) continue;
    word = lm_span(c, LM_IMAP_ATOM);
    if (word.n == 0) return true;
    if (!lm_imap_upper(c, word, &word)) return false;
    if (!lm_imap_add_text(c, out, LM_NOSTR, word)) return false;
  }
}

static bool data_capability(struct lm_cursor *c, const struct lm_imap_how *how,
                            struct lm_imap_value *out) {
  (void)how;
  return capability_set(c, out);
}

static bool data_flags(struct lm_cursor *c, const struct lm_imap_how *how,
                       struct lm_imap_value *out) {
  (void)how;
  return lm_imap_sp(c) && lm_imap_flags(c, out);
}

/* oldname-ext-value = "(" mailbox ")" (RFC 9051 §7.3.1): the name, as all names are */
static bool old_name(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_value *v) {
  struct lm_str name = lm_imap_text(v->kind == LM_VALUE_LIST ? v->u.list.first : v);
  if (name.n == 0) return true;
  if (!lm_imap_to_utf8(c, how, &name)) return false;
  v->kind = LM_VALUE_STRING;
  v->u.text = name;
  return true;
}

/* Fields that are ours, and that extended data may not stand in for. */
static bool is_own(struct lm_str key) {
  return LM_IS(key, "name") || LM_IS(key, "delimiter") || LM_IS(key, "attributes");
}

/* mbox-list-extended = "(" [item *(SP item)] ")"; item = astring SP tagged-ext-val */
static bool list_extended(struct lm_cursor *c, const struct lm_imap_how *how,
                          struct lm_imap_value *out) {
  struct lm_imap_value ignored = {.kind = LM_VALUE_NIL};
  if (!lm_expect(c, '(', "extended data")) return false;
  while (!lm_accept(c, ')')) {
    struct lm_str key;
    struct lm_imap_value *v;
    if (!lm_imap_astring(c, &key) || !lm_imap_lower(c, key, &key) || !lm_imap_sp(c)) return false;
    v = is_own(key) ? &ignored : lm_imap_child(c, out, key);
    if (v == NULL || !lm_imap_value(c, v)) return false;
    if (LM_IS(key, "oldname") && !old_name(c, how, v)) return false;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* Name and extended data behind it; a name that stands without quotes ends where these begin. Where
** they are none ("Foo (old)", which should have been quoted) nothing is taken. False: not so. */
static bool bare_and_extended(struct lm_cursor *c, const struct lm_imap_how *how,
                              struct lm_imap_value *out) {
  struct lm_imap_value before = *out;
  struct lm_str name;
  int ch = lm_peek(c);
  if (ch == '"' || ch == '{' || ch == '~') return false;
  if (lm_imap_word_mailbox(c, how, &name) && lm_imap_add_text(c, out, LM_STR("name"), name) &&
      lm_imap_sp(c) && list_extended(c, how, out) && lm_imap_at_end(c)) {
    return true;
  }
  *out = before;
  out->u.list.last->next = NULL;
  return false;
}

/* mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
**                [SP mbox-list-extended] */
static bool data_list(struct lm_cursor *c, const struct lm_imap_how *how,
                      struct lm_imap_value *out) {
  struct lm_imap_value *attributes;
  struct lm_str delimiter, name;
  const char *from;
  lm_imap_make_list(out);
  attributes = lm_imap_child(c, out, LM_STR("attributes"));
  if (attributes == NULL || !lm_imap_sp(c) || !lm_imap_flags(c, attributes)) return false;
  if (!lm_imap_sp(c) || !lm_imap_nstring(c, &delimiter) || !lm_imap_sp(c)) return false;
  if (delimiter.n && !lm_imap_add_text(c, out, LM_STR("delimiter"), delimiter)) return false;
  from = c->p;
  if (bare_and_extended(c, how, out)) return true;
  if (!lm_imap_back(c, from) || !lm_imap_mailbox(c, how, '\r', &name)) return false;
  if (!lm_imap_add_text(c, out, LM_STR("name"), name)) return false;
  while (lm_accept(c, ' ')) continue;
  return lm_peek(c) != '(' || list_extended(c, how, out);
}

/* status-att-val: a number, or a value of an extension; an object's id without its parentheses */
static bool status_item(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v, ignored = {.kind = LM_VALUE_NIL};
  struct lm_str key;
  if (!lm_imap_atom(c, &key) || !lm_imap_lower(c, key, &key) || !lm_imap_sp(c)) return false;
  v = is_own(key) ? &ignored : lm_imap_child(c, out, key);
  if (v == NULL || !lm_imap_value(c, v)) return false;
  if (v->kind == LM_VALUE_LIST && v->count == 1 && LM_IS(key, "mailboxid")) {
    v->u.text = lm_imap_text(v->u.list.first);
    v->kind = LM_VALUE_STRING;
  }
  return true;
}

/* "STATUS" SP mailbox SP "(" [status-att-list] ")" */
static bool data_status(struct lm_cursor *c, const struct lm_imap_how *how,
                        struct lm_imap_value *out) {
  struct lm_str name;
  lm_imap_make_list(out);
  if (!lm_imap_sp(c) || !lm_imap_mailbox(c, how, '(', &name)) return false;
  if (!lm_imap_add_text(c, out, LM_STR("name"), name)) return false;
  while (lm_accept(c, ' ')) continue;
  if (!lm_expect(c, '(', "list of counts")) return false;
  while (!lm_accept(c, ')')) {
    if (!status_item(c, out)) return false;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

static const struct lm_imap_data data[] = {
    {LM_NAME("EXISTS"), LM_IMAP_G_MAILBOX, NULL},
    {LM_NAME("EXPUNGE"), LM_IMAP_G_EXPUNGE, NULL},
    {LM_NAME("RECENT"), LM_IMAP_G_MAILBOX, NULL},
    {LM_NAME("FLAGS"), LM_IMAP_G_MAILBOX, data_flags},
    {LM_NAME("LIST"), LM_IMAP_G_LIST, data_list},
    {LM_NAME("LSUB"), LM_IMAP_G_LIST, data_list},
    {LM_NAME("XLIST"), LM_IMAP_G_LIST, data_list},
    {LM_NAME("STATUS"), LM_IMAP_G_STATUS, data_status},
    {LM_NAME("CAPABILITY"), LM_IMAP_G_CAPABILITY, data_capability},
    {LM_NAME("ENABLED"), LM_IMAP_G_ENABLED, data_capability},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

/* --- response codes ---------------------------------------------------------------------------- */

static bool code_number(struct lm_cursor *c, struct lm_imap_value *out) {
  return lm_imap_number_value(c, out);
}

/* "BADCHARSET" [SP "(" charset *(SP charset) ")"] */
static bool code_list(struct lm_cursor *c, struct lm_imap_value *out) {
  if (lm_peek(c) != '(') return lm_cursor_fail(c, LM_E_PROTOCOL, "list");
  return lm_imap_value(c, out);
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("UIDVALIDITY"), code_number},
    {LM_NAME("UIDNEXT"), code_number},
    {LM_NAME("UNSEEN"), code_number},
    {LM_NAME("PERMANENTFLAGS"), lm_imap_flags},
    {LM_NAME("CAPABILITY"), capability_set},
    {LM_NAME("BADCHARSET"), code_list},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_base = {NULL, items, data, codes};
