/*
** resp.c: one whole response of a server, parsed.
*/
#include "imap/resp.h"

#include <string.h>

#include "imap/scan.h"

static const struct lm_str status_names[] = {
    LM_NAME(""), LM_NAME("OK"), LM_NAME("NO"), LM_NAME("BAD"), LM_NAME("PREAUTH"), LM_NAME("BYE"),
};

enum { STATUSES = sizeof status_names / sizeof *status_names };

struct lm_str lm_imap_status_name(enum lm_imap_status status) {
  return status_names[status];
}

static enum lm_imap_status status_of(struct lm_str word) {
  int i;
  for (i = LM_IMAP_OK; i < STATUSES; i++) {
    if (lm_str_ieq(word, status_names[i])) return (enum lm_imap_status)i;
  }
  return LM_IMAP_NO_STATUS;
}

/* --- status responses --------------------------------------------------------------------------- */

/* The rest of the line, whatever it holds. */
static struct lm_str free_text(struct lm_cursor *c) {
  struct lm_str rest = lm_rest(c);
  if (rest.n && rest.p[rest.n - 1] == '\n') rest.n--;
  if (rest.n && rest.p[rest.n - 1] == '\r') rest.n--;
  c->p = c->end;
  return rest;
}

/* The arguments of a code that nobody knows, or that are not what they should be: raw, up to the
** "]" outside of quotes. */
static bool raw_arguments(struct lm_cursor *c, struct lm_imap_value *out) {
  const char *from = c->p;
  bool quoted = false;
  while (c->p < c->end && (quoted || *c->p != ']')) {
    if (*c->p == '"') quoted = !quoted;
    if (*c->p == '\\' && quoted && c->p + 1 < c->end) c->p++;
    c->p++;
  }
  out->kind = LM_VALUE_STRING;
  out->u.text = (struct lm_str){from, (size_t)(c->p - from)};
  return lm_accept(c, ']');
}

static bool known_arguments(struct lm_cursor *c, const struct lm_imap_code *code,
                            struct lm_imap_value *out) {
  if (!code->parse(c, out)) return false;
  while (lm_accept(c, ' ')) continue;
  return lm_accept(c, ']');
}

/* resp-text-code = atom [SP arguments]; "[" that begins no code is text. False: the session must
** fail. */
static bool code(struct lm_cursor *c, struct lm_imap_resp *out) {
  const char *from = c->p, *arguments;
  const struct lm_imap_code *known;
  struct lm_str name;
  c->p++;
  name = lm_span(c, LM_IMAP_ATOM);
  if (name.n == 0) return lm_imap_back(c, from);
  if (!lm_imap_upper(c, name, &out->code)) return false;
  if (lm_accept(c, ']')) return true;
  while (lm_accept(c, ' ')) continue;
  arguments = c->p;
  known = lm_imap_find_code(name);
  if (known && known_arguments(c, known, &out->code_value)) return true;
  if (!lm_imap_back(c, arguments)) return false;
  if (raw_arguments(c, &out->code_value)) return true;
  out->code = LM_NOSTR;
  out->code_value.kind = LM_VALUE_NIL;
  return lm_imap_back(c, from);
}

/* resp-text = ["[" resp-text-code "]" SP] [text]; no text at all passes:
** spec/wire/imap/quirk-no-text.wire */
static bool resp_text(struct lm_cursor *c, struct lm_imap_resp *out) {
  while (lm_accept(c, ' ')) continue;
  if (lm_peek(c) == '[' && !code(c, out)) return false;
  lm_accept(c, ' ');
  out->text = free_text(c);
  return true;
}

static bool status_response(struct lm_cursor *c, struct lm_imap_resp *out,
                            enum lm_imap_status status) {
  out->status = status;
  out->name = status_names[status];
  if (!resp_text(c, out)) return false;
  out->group = out->code.n ? LM_IMAP_G_CODE : LM_IMAP_G_OTHER;
  return true;
}

/* --- untagged data ------------------------------------------------------------------------------ */

/* Behind the last parenthesis of a FETCH. Some servers forget the line end after a literal: then
** the next response begins here (spec/wire/imap/quirk-missing-crlf.wire). Other rubbish is a
** defect. */
static bool fetch_end(struct lm_cursor *c, struct lm_imap_fetch *f) {
  bool next = f->sections && c->p < c->end && (*c->p == '*' || lm_is(*c->p, LM_IMAP_TAG));
  if (next) return true;
  if (!lm_imap_at_end(c) && !lm_imap_fetch_defect(c->arena, f, LM_STR(""), "end of line")) {
    return lm_cursor_fail(c, LM_E_MEMORY, "room for a defect");
  }
  c->p = c->end;
  return true;
}

static bool fetched(struct lm_cursor *c, struct lm_imap_resp *out, enum lm_fetch_got got) {
  out->cut = got == LM_FETCH_CUT;
  return got == LM_FETCH_WHOLE ? fetch_end(c, out->fetch) : got != LM_FETCH_BAD;
}

/* message-data = nz-number SP "FETCH" SP msg-att */
static bool fetch(struct lm_cursor *c, struct lm_imap_resp *out) {
  out->group = LM_IMAP_G_FETCH;
  out->name = LM_STR("FETCH");
  out->fetch = lm_arena_alloc(c->arena, sizeof *out->fetch);
  if (out->fetch == NULL) return lm_cursor_fail(c, LM_E_MEMORY, "room for a message");
  lm_imap_fetch_init(out->fetch, out->number);
  return lm_imap_sp(c) && fetched(c, out, lm_imap_fetch(c, out->fetch));
}

/* "*" SP uniqueid SP "UIDFETCH" SP msg-att (RFC 9586 §3.3): the number is the UID, and there is no
** message number. */
static bool uidfetch(struct lm_cursor *c, struct lm_imap_resp *out) {
  bool ok = fetch(c, out);
  if (out->fetch == NULL) return ok;
  out->fetch->seq = 0;
  out->fetch->uid = out->number;
  out->fetch->has |= LM_IMAP_HAS_UID;
  return ok;
}

bool lm_imap_resp_resume(struct lm_cursor *c, struct lm_imap_resp *out) {
  return fetched(c, out, lm_imap_fetch_resume(c, out->fetch));
}

/* Exchange sends the code of a MOVE without "OK" before it, with brackets or without:
** spec/wire/imap/quirk-bare-copyuid.wire */
static bool bare_code(struct lm_cursor *c, struct lm_imap_resp *out,
                      const struct lm_imap_code *known) {
  out->status = LM_IMAP_OK;
  out->name = status_names[LM_IMAP_OK];
  out->group = LM_IMAP_G_CODE;
  out->code = known->name;
  return lm_imap_sp(c) && known->parse(c, &out->code_value) && lm_imap_end(c);
}

static bool other_data(struct lm_cursor *c, struct lm_imap_resp *out, struct lm_str name) {
  out->group = LM_IMAP_G_OTHER;
  if (!lm_imap_upper(c, name, &out->name)) return false;
  return (lm_imap_at_end(c) || lm_imap_values(c, &out->value)) && lm_imap_end(c);
}

/* Data of an extension that breaks its grammar comes as a value tree, like that of one nobody knows:
** no answer is worth the session (spec/wire/imap/quirk-odd-data.wire). */
static bool known_data(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_resp *out,
                       const struct lm_imap_data *known) {
  const char *from = c->p;
  out->group = known->group;
  out->name = known->name;
  if (known->parse == NULL && !out->has_number) {
    return lm_cursor_fail(c, LM_E_PROTOCOL, "number before EXISTS, RECENT or EXPUNGE");
  }
  if (known->parse == NULL || (known->parse(c, how, &out->value) && lm_imap_end(c))) {
    return known->parse || lm_imap_end(c);
  }
  if ((known->group & (LM_IMAP_G_OTHER | LM_IMAP_G_ABOUT)) == 0) return false;
  return lm_imap_back(c, from) && lm_imap_values(c, &out->value) && lm_imap_end(c);
}

/* response-data = "*" SP (resp-cond-state / resp-cond-bye / mailbox-data / message-data /
**                 capability-data ...) CRLF */
static bool untagged(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_resp *out) {
  const struct lm_imap_data *known;
  const struct lm_imap_code *known_code;
  struct lm_str name;
  enum lm_imap_status status;
  if (!lm_imap_sp(c)) return false;
  if (lm_peek(c) == '[') return status_response(c, out, LM_IMAP_OK);
  if (lm_peek(c) >= '0' && lm_peek(c) <= '9') {
    out->has_number = true;
    if (!lm_take_u32(c, &out->number) || !lm_imap_sp(c)) return false;
  }
  name = lm_span(c, LM_IMAP_ATOM);
  if (name.n == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "name of a response");
  if (out->has_number) {
    if (LM_IS(name, "FETCH")) return fetch(c, out);
    if (LM_IS(name, "UIDFETCH")) return uidfetch(c, out);
  } else if ((status = status_of(name)) != LM_IMAP_NO_STATUS) {
    return status_response(c, out, status);
  }
  if (LM_IS(name, "FETCH") || LM_IS(name, "UIDFETCH")) {
    return lm_cursor_fail(c, LM_E_PROTOCOL, "number before FETCH");
  }
  if ((known = lm_imap_find_data(name)) != NULL) return known_data(c, how, out, known);
  if ((known_code = lm_imap_find_code(name)) != NULL && LM_IS(name, "COPYUID")) {
    return bare_code(c, out, known_code);
  }
  return other_data(c, out, name);
}

/* --- the three kinds ----------------------------------------------------------------------------- */

/* response-tagged = tag SP resp-cond-state CRLF */
static bool tagged(struct lm_cursor *c, struct lm_imap_resp *out) {
  enum lm_imap_status status;
  out->kind = LM_IMAP_TAGGED;
  out->tag = lm_span(c, LM_IMAP_TAG);
  if (out->tag.n == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "tag, \"*\" or \"+\"");
  if (!lm_imap_sp(c)) return false;
  status = status_of(lm_span(c, LM_IMAP_ATOM));
  if (status < LM_IMAP_OK || status > LM_IMAP_BAD) {
    return lm_cursor_fail(c, LM_E_PROTOCOL, "OK, NO or BAD");
  }
  return status_response(c, out, status);
}

/* continue-req = "+" SP (resp-text / base64) CRLF; "+" alone passes. */
static bool continuation(struct lm_cursor *c, struct lm_imap_resp *out) {
  out->kind = LM_IMAP_CONTINUE;
  lm_accept(c, ' ');
  out->text = free_text(c);
  return true;
}

bool lm_imap_resp(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_imap_resp *out) {
  memset(out, 0, sizeof *out);
  if (lm_accept(c, '+')) return continuation(c, out);
  if (lm_peek(c) == '[') { /* Exchange: spec/wire/imap/quirk-exchange-bare-code.wire */
    out->kind = LM_IMAP_UNTAGGED;
    return status_response(c, out, LM_IMAP_OK);
  }
  if (!lm_accept(c, '*')) return tagged(c, out);
  out->kind = LM_IMAP_UNTAGGED;
  return untagged(c, how, out);
}
