/*
** answer.c: whose answer a response is, and what it does to the session.
*/
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "imap/session.h"

static enum lm_status tell(struct lm_imapc_event *ev, enum lm_imapc_kind kind, uint32_t id,
                           const struct lm_imap_resp *resp) {
  *ev = (struct lm_imapc_event){.kind = kind, .id = id, .resp = resp};
  return LM_EVENT;
}

/* --- untagged data ----------------------------------------------------------------------------------- */

/* Nobody's data belongs to the IDLE that is on. */
static uint32_t nobody(const struct lm_imapc *s) {
  return s->idle_wanted ? s->idle_id : 0;
}

static unsigned group_of(const struct lm_imap_resp *resp) {
  if (resp->group == LM_IMAP_G_EXPUNGE && resp->value.kind == LM_VALUE_LIST &&
      lm_imap_field(&resp->value, "earlier")) {
    return GROUP_EARLIER;
  }
  if (lm_str_eq(resp->code, LM_STR("MESSAGELIMIT"))) return GROUP_LIMITED;
  return resp->group;
}

/* The number in "A7"; 0 where it is no tag of ours. */
static uint32_t tag_number(const struct lm_imapc *s, struct lm_str tag) {
  size_t n = strlen(s->prefix);
  uint32_t id = 0;
  if (tag.n <= n || memcmp(tag.p, s->prefix, n) != 0 || tag.p[n] == '0') return 0;
  return lm_to_u32(lm_imapc_str(tag.p + n, tag.n - n), &id) ? id : 0;
}

static bool is_progress(const struct lm_imap_resp *resp) {
  return lm_str_eq(resp->code, LM_STR("INPROGRESS"));
}

/* The tag that the response itself names, or NULL. */
static const struct lm_imap_value *tag_in(const struct lm_imap_resp *resp) {
  const struct lm_imap_value *v = is_progress(resp) ? &resp->code_value : &resp->value;
  bool may = is_progress(resp) || resp->group == LM_IMAP_G_SEARCH;
  return may && v->kind == LM_VALUE_LIST ? lm_imap_field(v, "tag") : NULL;
}

/* An ESEARCH and a report of progress name their command; where nobody asked for them they are news. */
static struct lm_imapc_cmd *by_tag(const struct lm_imapc *s, const struct lm_imap_resp *resp,
                                   struct lm_imapc_cmd *oldest) {
  const struct lm_imap_value *tag = tag_in(resp);
  struct lm_imapc_cmd *cmd;
  if (tag == NULL) return is_progress(resp) ? NULL : oldest;
  cmd = lm_imapc_find(s, tag_number(s, lm_imap_text(tag)));
  return cmd && cmd->phase == PHASE_SENT ? lm_imapc_leader(s, cmd) : NULL;
}

static void enabled(struct lm_imapc *s, struct lm_str name) {
  s->utf8 |= lm_str_eq(name, LM_STR("UTF8=ACCEPT")) || lm_str_eq(name, LM_STR("IMAP4REV2"));
  s->uidonly |= lm_str_eq(name, LM_STR("UIDONLY"));
}

/* ENABLED that answers no ENABLE changes nothing: names would be read and written in another form. */
static bool asked_to_enable(const struct lm_imapc *s) {
  const struct lm_imapc_cmd *cmd = lm_imapc_collector(s, LM_IMAP_G_ENABLED);
  return cmd && cmd->verb->collects == LM_IMAP_G_ENABLED;
}

static void learn(struct lm_imapc *s, const struct lm_imap_resp *resp) {
  const struct lm_imap_value *v;
  if (resp->group == LM_IMAP_G_CAPABILITY) lm_imapc_set_caps(s, &resp->value);
  if (lm_str_eq(resp->code, LM_STR("CAPABILITY")) && resp->code_value.kind == LM_VALUE_SET) {
    lm_imapc_set_caps(s, &resp->code_value);
  }
  if (resp->group != LM_IMAP_G_ENABLED || !asked_to_enable(s)) return;
  for (v = resp->value.u.list.first; v; v = v->next) enabled(s, v->u.text);
}

enum lm_status lm_imapc_about_fetch(struct lm_imapc *s, struct lm_imap_resp *resp, uint32_t id,
                                    struct lm_imapc_event *ev) {
  if (!resp->cut) return tell(ev, LM_IMAPC_FETCH, id, resp);
  tell(ev, LM_IMAPC_BODY, id, resp);
  ev->section = resp->fetch->last_section;
  s->body_told = true;
  return LM_EVENT;
}

static enum lm_status on_bye(struct lm_imapc *s, struct lm_imap_resp *resp,
                             struct lm_imapc_event *ev) {
  lm_imapc_enter(s, IMAPC_LOGOUT);
  return tell(ev, LM_IMAPC_BYE, 0, resp);
}

/* An alert is for the user, whatever command it came with (RFC 9051 §7.1). */
static bool is_alert(const struct lm_imap_resp *resp) {
  return lm_str_eq(resp->code, LM_STR("ALERT"));
}

/* A number of a few digits is 16 octets and more to who keeps many of them. */
enum { SEARCH_WEIGHT = 3 };

/* True where what came for a command is too much to be gathered. Messages and what went away are handed
** on one by one by most callers, and as many as the mailbox has. */
static bool outgrows(struct lm_imapc *s, struct lm_imapc_cmd *cmd,
                     const struct lm_imap_resp *resp) {
  size_t weight = s->weight;
  if (s->state < IMAPC_AUTHENTICATED || is_progress(resp)) return false;
  if (resp->group & (LM_IMAP_G_FETCH | LM_IMAP_G_EXPUNGE)) return false;
  if (resp->group & LM_IMAP_G_SEARCH) weight *= SEARCH_WEIGHT;
  if (s->limits.answer - cmd->held < weight) return true;
  cmd->held += weight;
  return false;
}

/* A command that is still being written cannot be given up. */
static enum lm_status too_much(struct lm_imapc *s, struct lm_imapc_cmd *cmd,
                               struct lm_imapc_event *ev) {
  if (cmd->phase != PHASE_SENT) return lm_imapc_fail(s, LM_E_LIMIT, "answer");
  cmd->abandoned = true;
  return tell(ev, LM_IMAPC_LIMIT, cmd->id, NULL);
}

static enum lm_status on_untagged(struct lm_imapc *s, struct lm_imap_resp *resp,
                                  struct lm_imapc_event *ev) {
  struct lm_imapc_cmd *cmd;
  uint32_t id;
  if (resp->status == LM_IMAP_BYE) return on_bye(s, resp, ev);
  if (resp->status == LM_IMAP_PREAUTH) return lm_imapc_fail(s, LM_E_PROTOCOL, "no second greeting");
  if (s->limits.untagged && ++s->count > s->limits.untagged) {
    return lm_imapc_fail(s, LM_E_LIMIT, "untagged");
  }
  learn(s, resp);
  if (group_of(resp) == LM_IMAP_G_EXPUNGE) lm_imapc_numbers_moved(s);
  cmd = is_alert(resp) ? NULL : by_tag(s, resp, lm_imapc_owner(s, resp, group_of(resp)));
  if (cmd && cmd->abandoned) return LM_WAIT;
  if (cmd && outgrows(s, cmd, resp)) return too_much(s, cmd, ev);
  id = cmd ? cmd->id : nobody(s);
  return resp->fetch ? lm_imapc_about_fetch(s, resp, id, ev)
                     : tell(ev, LM_IMAPC_UNTAGGED, id, resp);
}

/* --- continuation requests ---------------------------------------------------------------------------- */

static enum lm_status send_initial(struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  bool ok;
  cmd->has_initial = false;
  s->wire.secret = true;
  lm_wire_trace(&s->wire, 'C', LM_STR("***"));
  ok = lm_wire_put(&s->wire, lm_buf_str(&cmd->initial)) && lm_wire_put(&s->wire, LM_STR("\r\n"));
  lm_buf_wipe(&cmd->initial);
  return ok ? LM_WAIT : LM_FAIL;
}

/* The challenge, decoded into the arena. */
static enum lm_status ask(struct lm_imapc *s, struct lm_imapc_cmd *cmd, struct lm_str text,
                          struct lm_imapc_event *ev) {
  struct lm_buf b = {NULL, 0, 0, 0};
  enum lm_base64 got = lm_base64_decode(&b, text);
  struct lm_str challenge = LM_STR("");
  if (got == LM_BASE64_OK && lm_buf_len(&b)) challenge = lm_arena_copy(&s->arena, lm_buf_str(&b));
  lm_buf_wipe(&b);
  if (got == LM_BASE64_BAD) return lm_imapc_fail_seen(s, "challenge in base64", LM_STR("***"));
  if (got == LM_BASE64_MEMORY || challenge.p == NULL) {
    return lm_imapc_fail(s, LM_E_MEMORY, "room for a challenge");
  }
  cmd->asked = true;
  tell(ev, LM_IMAPC_ASK, cmd->id, NULL);
  ev->data = challenge;
  return LM_EVENT;
}

static enum lm_status on_challenge(struct lm_imapc *s, struct lm_imapc_cmd *cmd, struct lm_str text,
                                   struct lm_imapc_event *ev) {
  if (++cmd->steps > s->limits.sasl_steps) return lm_imapc_fail(s, LM_E_LIMIT, "sasl_steps");
  if (text.n / 4 * 3 > s->limits.challenge) return lm_imapc_fail(s, LM_E_LIMIT, "challenge");
  if (cmd->has_initial && text.n == 0) return send_initial(s, cmd);
  if (!cmd->abandoned) return ask(s, cmd, text, ev);
  return lm_imapc_emit(s, LM_STR("*\r\n"), false) ? LM_WAIT : LM_FAIL;
}

static enum lm_status on_continue(struct lm_imapc *s, struct lm_imap_resp *resp,
                                  struct lm_imapc_event *ev) {
  struct lm_imapc_cmd *cmd = s->first;
  if (s->idle == IDLE_STARTING) return lm_imapc_idle_continue(s, ev);
  if (s->send && s->send->phase == PHASE_WAIT) {
    s->send->phase = PHASE_WRITING;
    return LM_WAIT;
  }
  if (cmd && cmd->phase == PHASE_SENT && cmd->verb->effect == EFFECT_AUTHENTICATE && !cmd->asked) {
    return on_challenge(s, cmd, resp->text, ev);
  }
  return lm_imapc_fail_seen(s, "no continuation request", resp->text);
}

static struct lm_imapc_cmd *asked(struct lm_imapc *s, uint32_t id) {
  struct lm_imapc_cmd *cmd = lm_imapc_find(s, id);
  s->refusal = NULL;
  if (cmd && cmd->asked && !lm_wire_failed(&s->wire)) return cmd;
  lm_imapc_refuse(s, "no challenge waits for an answer");
  return NULL;
}

bool lm_imapc_answer(struct lm_imapc *s, uint32_t id, struct lm_str bytes) {
  struct lm_imapc_cmd *cmd = asked(s, id);
  struct lm_buf b = {NULL, 0, 0, 0};
  bool ok;
  if (cmd == NULL) return false;
  cmd->asked = false;
  s->wire.secret = true;
  lm_wire_trace(&s->wire, 'C', LM_STR("***"));
  ok = lm_base64_encode(&b, bytes) && lm_buf_put(&b, "\r\n", 2);
  if (!ok) lm_wire_fail(&s->wire, LM_E_MEMORY, "room for an answer", LM_NOSTR);
  ok = ok && lm_wire_put(&s->wire, lm_buf_str(&b));
  lm_buf_wipe(&b);
  return ok || lm_imapc_refuse(s, "out of memory") != 0;
}

bool lm_imapc_cancel(struct lm_imapc *s, uint32_t id) {
  struct lm_imapc_cmd *cmd = asked(s, id);
  if (cmd == NULL) return false;
  cmd->asked = false;
  return lm_imapc_emit(s, LM_STR("*\r\n"), false) || lm_imapc_refuse(s, "out of memory") != 0;
}

/* --- tagged answers ------------------------------------------------------------------------------------ */

/* Forgets capabilities that were said to a stranger (RFC 9051 §6.2.3). */
static void logged_in(struct lm_imapc *s) {
  if (!s->caps_renewed) lm_imapc_forget_caps(s);
  lm_imapc_enter(s, IMAPC_AUTHENTICATED);
}

/* All is as before the login (RFC 8437 §3), and what was said to the one who was in is void. */
static void logged_out(struct lm_imapc *s) {
  if (!s->caps_renewed) lm_imapc_forget_caps(s);
  s->utf8 = s->uidonly = s->notify = s->unnumbered = false;
  lm_imapc_enter(s, IMAPC_NOT_AUTHENTICATED);
}

/* What the end of a command does to the session; the kind of event that tells it. */
static enum lm_imapc_kind take_effect(struct lm_imapc *s, enum lm_imapc_effect effect, bool ok) {
  if (effect == EFFECT_SELECT) lm_imapc_enter(s, ok ? IMAPC_SELECTED : IMAPC_AUTHENTICATED);
  if (!ok) return LM_IMAPC_DONE;
  switch (effect) {
  case EFFECT_LOGIN:
  case EFFECT_AUTHENTICATE: logged_in(s); break;
  case EFFECT_CLOSE: lm_imapc_enter(s, IMAPC_AUTHENTICATED); break;
  case EFFECT_LOGOUT:
    lm_imapc_enter(s, IMAPC_LOGOUT);
    s->over = true;
    break;
  case EFFECT_NOTIFY: s->notify = true; break;
  case EFFECT_UNAUTHENTICATE: logged_out(s); break;
  case EFFECT_STARTTLS: s->hold = true; return LM_IMAPC_STARTTLS;
  case EFFECT_COMPRESS: s->hold = true; return LM_IMAPC_COMPRESS;
  default: break;
  }
  return LM_IMAPC_DONE;
}

/* A refusal while octets of a literal are under way: they were announced, so the server will read
** them, and the session must send them all to stay in step. Until then the answer is put aside. */
static enum lm_status put_aside(struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  if (s->early_id) return lm_imapc_fail_seen(s, "one answer to a command", s->line);
  if (!lm_buf_put(&cmd->early, s->line.p, s->line.n)) {
    return lm_imapc_fail(s, LM_E_MEMORY, "room for an answer");
  }
  s->early_id = cmd->id;
  return LM_WAIT;
}

static enum lm_status end_command(struct lm_imapc *s, struct lm_imapc_cmd *cmd,
                                  struct lm_imap_resp *resp, struct lm_imapc_event *ev) {
  uint32_t id = cmd->id;
  bool quiet = cmd->abandoned;
  enum lm_imapc_kind kind;
  kind = take_effect(s, cmd->verb->effect, resp->status == LM_IMAP_OK);
  lm_imapc_remove(s, cmd);
  return quiet && kind == LM_IMAPC_DONE ? LM_WAIT : tell(ev, kind, id, resp);
}

static enum lm_status on_tagged(struct lm_imapc *s, struct lm_imap_resp *resp,
                                struct lm_imapc_event *ev) {
  uint32_t id = tag_number(s, resp->tag);
  struct lm_imapc_cmd *cmd = id ? lm_imapc_find(s, id) : NULL;
  bool refused = resp->status != LM_IMAP_OK;
  s->count = 0;
  learn(s, resp);
  if (id && id == s->idle_tag && s->idle != IDLE_OFF) return lm_imapc_idle_answer(s, resp, ev);
  if (cmd && (cmd->phase == PHASE_SENT || (cmd->phase == PHASE_WAIT && refused))) {
    return end_command(s, cmd, resp, ev);
  }
  if (cmd && refused && (cmd->phase == PHASE_WRITING || cmd->phase == PHASE_CONTENT)) {
    return put_aside(s, cmd);
  }
  return lm_imapc_fail_seen(s, "tag of a command that was sent", resp->tag);
}

/* The answer that was put aside, once all octets are out. */
enum lm_status lm_imapc_answer_early(struct lm_imapc *s, struct lm_imapc_event *ev) {
  struct lm_imapc_cmd *cmd = lm_imapc_find(s, s->early_id);
  struct lm_imap_resp *resp;
  struct lm_imap_how how = {s->utf8};
  struct lm_cursor c;
  if (cmd == NULL || cmd->phase != PHASE_SENT) return LM_WAIT;
  s->early_id = 0;
  c = lm_cursor(lm_arena_copy(&s->arena, lm_buf_str(&cmd->early)));
  c.arena = &s->arena;
  c.limits = &s->limits;
  resp = lm_arena_alloc(&s->arena, sizeof *resp);
  if (resp == NULL || c.begin == NULL || !lm_imap_resp(&c, &how, resp)) {
    return lm_imapc_fail(s, LM_E_MEMORY, "room for an answer");
  }
  return end_command(s, cmd, resp, ev);
}

/* --- the greeting --------------------------------------------------------------------------------------- */

/* greeting = "*" SP (resp-cond-auth / resp-cond-bye) CRLF */
static enum lm_status on_greeting(struct lm_imapc *s, struct lm_imap_resp *resp,
                                  struct lm_imapc_event *ev) {
  bool ready = resp->status == LM_IMAP_OK || resp->status == LM_IMAP_PREAUTH;
  ready &=
      s->line.n > 0 && s->line.p[0] == '*'; /* not the code alone that Exchange may send later */
  if (resp->kind == LM_IMAP_UNTAGGED && resp->status == LM_IMAP_BYE) return on_bye(s, resp, ev);
  if (resp->kind != LM_IMAP_UNTAGGED || !ready) {
    return lm_imapc_fail_seen(s, "greeting", resp->name.n ? resp->name : resp->text);
  }
  learn(s, resp);
  lm_imapc_enter(s, resp->status == LM_IMAP_OK ? IMAPC_NOT_AUTHENTICATED : IMAPC_AUTHENTICATED);
  return tell(ev, LM_IMAPC_GREETING, 0, resp);
}

enum lm_status lm_imapc_settle(struct lm_imapc *s, struct lm_imap_resp *resp,
                               struct lm_imapc_event *ev) {
  if (s->state == IMAPC_GREETING) return on_greeting(s, resp, ev);
  switch (resp->kind) {
  case LM_IMAP_CONTINUE: return on_continue(s, resp, ev);
  case LM_IMAP_TAGGED: return on_tagged(s, resp, ev);
  default: return on_untagged(s, resp, ev);
  }
}
