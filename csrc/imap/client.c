/*
** client.c: life of a client session, and its input: bytes -> responses -> events.
**
** A response is framed, parsed whole and acted on (answer.c). Only a FETCH whose bodies are
** streamed comes in pieces: text up to a body, the octets, and so on to its end.
*/
#include "imap/client.h"

#include <stdlib.h>
#include <string.h>

#include "imap/session.h"

enum {
  TRACE_MAX = 1000, /* octets of a response in the trace */
  DEPTH_MAX = 1000  /* whatever the limits say: those who walk a tree may recurse */
};

/* --- life -------------------------------------------------------------------------------------------- */

struct lm_imapc *lm_imapc_new(const struct lm_limits *limits) {
  struct lm_imapc *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  lm_wire_init(&s->wire);
  s->limits = limits ? *limits : (struct lm_limits)LM_LIMITS_DEFAULT;
  if (s->limits.depth > DEPTH_MAX) s->limits.depth = DEPTH_MAX;
  s->prefix[0] = 'A';
  return s;
}

void lm_imapc_free(struct lm_imapc *s) {
  if (s == NULL) return;
  while (s->first) {
    struct lm_imapc_cmd *next = s->first->next;
    lm_imapc_cmd_free(s->first);
    s->first = next;
  }
  lm_imapc_cmd_free(s->building);
  free(s->caps);
  lm_arena_free(&s->arena);
  lm_wire_free(&s->wire);
  free(s);
}

struct lm_wire *lm_imapc_wire(struct lm_imapc *s) {
  return &s->wire;
}

enum lm_imapc_state lm_imapc_state(const struct lm_imapc *s) {
  return s->state;
}

size_t lm_imapc_weight(const struct lm_imapc *s) {
  return s->weight;
}

size_t lm_imapc_answer_limit(const struct lm_imapc *s) {
  return s->limits.answer;
}

size_t lm_imapc_pending(const struct lm_imapc *s) {
  const struct lm_imapc_cmd *cmd;
  size_t n = 0;
  for (cmd = s->first; cmd; cmd = cmd->next) n++;
  return n;
}

/* The one place where the state changes. LOGOUT is final: after a BYE no answer brings us back. */
void lm_imapc_enter(struct lm_imapc *s, enum lm_imapc_state state) {
  if (s->state != IMAPC_LOGOUT) s->state = state;
}

void lm_imapc_secured(struct lm_imapc *s) {
  if (!s->hold) return;
  s->hold = false;
  if (s->state == IMAPC_NOT_AUTHENTICATED) {
    lm_imapc_forget_caps(s);
    s->utf8 = s->uidonly = s->notify = s->unnumbered = false;
  }
}

enum lm_status lm_imapc_fail_seen(struct lm_imapc *s, const char *expected, struct lm_str seen) {
  return lm_wire_fail(&s->wire, LM_E_PROTOCOL, expected, seen);
}

enum lm_status lm_imapc_fail(struct lm_imapc *s, enum lm_code code, const char *expected) {
  return lm_wire_fail(&s->wire, code, expected, LM_NOSTR);
}

/* --- the trace ----------------------------------------------------------------------------------------- */

/* The server may echo what was sent: while a secret is under way only the first word is told. */
static struct lm_str masked(const struct lm_imapc *s, struct lm_str line, char *to, size_t room) {
  const struct lm_imapc_cmd *cmd = s->first;
  struct lm_cursor c = lm_cursor(line);
  struct lm_str word;
  if (cmd == NULL || cmd->phase == PHASE_QUEUED || !(cmd->options & LM_IMAPC_SECRET)) return line;
  if (line.n == 0 || line.p[0] == '*') return line;
  word = lm_until(&c, ' ');
  if (word.n + 4 > room) word.n = room - 4;
  memcpy(to, word.p, word.n);
  memcpy(to + word.n, " ***", 4);
  return lm_imapc_str(to, word.n + 4);
}

static void trace(struct lm_imapc *s, struct lm_str text) {
  struct lm_cursor c = lm_cursor(text);
  char room[32];
  if (c.end - c.p > TRACE_MAX) c.end = c.p + TRACE_MAX;
  while (!lm_at_end(&c)) {
    struct lm_str line = lm_until(&c, '\n');
    lm_accept(&c, '\n');
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    lm_wire_trace(&s->wire, 'S', masked(s, line, room, sizeof room));
  }
}

/* --- parsing ------------------------------------------------------------------------------------------- */

static struct lm_cursor cursor_over(struct lm_imapc *s, struct lm_str text) {
  struct lm_cursor c = lm_cursor(text);
  c.arena = &s->arena;
  c.limits = &s->limits;
  return c;
}

static enum lm_status bad_response(struct lm_imapc *s, const struct lm_cursor *c) {
  const char *where = c->where ? c->where : c->p;
  s->wire.error.offset = (uint32_t)(where - c->begin);
  return lm_wire_fail(&s->wire, c->code ? c->code : LM_E_PROTOCOL,
                      c->expected ? c->expected : "response",
                      lm_imapc_str(where, (size_t)(c->end - where)));
}

/* A response of its own, or the next piece of a FETCH. */
static bool parse(struct lm_imapc *s, struct lm_cursor *c, struct lm_imap_resp **out) {
  struct lm_imap_how how = {s->utf8};
  if (s->pieces) {
    *out = s->pieces;
    return lm_imap_resp_resume(c, *out);
  }
  *out = lm_arena_alloc(&s->arena, sizeof **out);
  if (*out == NULL) return lm_cursor_fail(c, LM_E_MEMORY, "room for a response");
  return lm_imap_resp(c, &how, *out);
}

static enum lm_status framed(struct lm_imapc *s, struct lm_str text, struct lm_imapc_event *ev) {
  struct lm_imap_resp *resp;
  struct lm_cursor c = cursor_over(s, text);
  bool rest = s->pieces != NULL;
  if (s->wire.trace) trace(s, text);
  if (!parse(s, &c, &resp)) return bad_response(s, &c);
  lm_wire_take(&s->wire, (size_t)(c.p - c.begin));
  s->line = text;
  s->weight = text.n + lm_arena_weight(&s->arena);
  if (!rest) return lm_imapc_settle(s, resp, ev);
  s->pieces = NULL;
  if (s->body_quiet) return LM_WAIT;
  return lm_imapc_about_fetch(s, resp, s->body_id, ev);
}

/* The text in front of a body: kept, because its octets will be gone when the rest is told. */
static enum lm_status before_body(struct lm_imapc *s, struct lm_str text,
                                  struct lm_imapc_event *ev) {
  struct lm_str kept = lm_arena_copy(&s->arena, text);
  struct lm_imapc_cmd *cmd = lm_imapc_collector(s, LM_IMAP_G_FETCH);
  struct lm_imap_resp *resp;
  struct lm_cursor c;
  if (kept.p == NULL) return lm_imapc_fail(s, LM_E_MEMORY, "room for a response");
  if (s->wire.trace) trace(s, text);
  c = cursor_over(s, kept);
  if (!parse(s, &c, &resp)) return bad_response(s, &c);
  if (resp->fetch == NULL) return lm_imapc_fail_seen(s, "FETCH", text);
  lm_wire_take(&s->wire, text.n);
  s->weight = text.n + lm_arena_weight(&s->arena);
  if (s->pieces == NULL) {
    s->body_id = cmd ? cmd->id : 0;
    s->body_quiet = cmd == NULL || cmd->abandoned;
  }
  s->pieces = resp;
  s->body_left = s->frame.literal;
  if (s->limits.stream && s->body_left > s->limits.stream) {
    return lm_imapc_fail(s, LM_E_LIMIT, "stream");
  }
  if (!resp->cut && /* octets that belong to no section are dropped */
      !lm_imap_fetch_defect(&s->arena, resp->fetch, LM_STR(""), "name of a body before octets")) {
    return lm_imapc_fail(s, LM_E_MEMORY, "room for a defect");
  }
  s->body_told = resp->cut && !s->body_quiet;
  return s->body_told ? lm_imapc_about_fetch(s, resp, s->body_id, ev) : LM_WAIT;
}

/* Hands out, or drops, octets of the body. */
static enum lm_status body(struct lm_imapc *s, struct lm_imapc_event *ev) {
  struct lm_str in = lm_wire_input(&s->wire);
  if (in.n == 0) return lm_wire_more(&s->wire);
  if (in.n > s->body_left) in.n = (size_t)s->body_left;
  s->body_left -= in.n;
  lm_wire_take(&s->wire, in.n);
  if (!s->body_told || s->body_quiet) return LM_EVENT;
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_DATA,
                                .id = s->body_id,
                                .resp = s->pieces,
                                .data = in,
                                .last = s->body_left == 0};
  ev->section = s->pieces->fetch->last_section;
  return LM_EVENT;
}

/* --- input --------------------------------------------------------------------------------------------- */

/* Before login a stranger may send no more than a line in a literal. */
static enum lm_frame_got frame(struct lm_imapc *s, struct lm_str in, size_t *size_out) {
  struct lm_limits early;
  if (s->state >= IMAPC_AUTHENTICATED) return lm_imap_frame(&s->frame, in, &s->limits, size_out);
  early = s->limits;
  if (early.literal > early.line) early.literal = early.line;
  return lm_imap_frame(&s->frame, in, &early, size_out);
}

/* Bodies come in pieces for a command that streams, which is alone, and for one that was given up and
** is alone: beside others it must be read whole to know whose it is. */
static bool wants_pieces(const struct lm_imapc *s) {
  const struct lm_imapc_cmd *cmd = lm_imapc_collector(s, LM_IMAP_G_FETCH);
  if (cmd == NULL || (cmd->options & LM_IMAPC_STREAM)) return cmd != NULL;
  return cmd->abandoned && !lm_imapc_has_company(cmd);
}

/* EOF: an end that we asked for, or a failure. */
static enum lm_status ended(struct lm_imapc *s, struct lm_imapc_event *ev) {
  struct lm_imapc_cmd *cmd = s->first;
  struct lm_imap_resp *resp;
  bool quit = cmd && cmd->verb->effect == EFFECT_LOGOUT && cmd->phase == PHASE_SENT;
  if (!quit || s->state != IMAPC_LOGOUT || lm_wire_input(&s->wire).n) return lm_wire_more(&s->wire);
  if ((resp = lm_arena_zero(&s->arena, sizeof *resp)) == NULL) {
    return lm_imapc_fail(s, LM_E_MEMORY, "room for an answer");
  }
  resp->kind = LM_IMAP_TAGGED; /* BYE and the end of the stream: as good as OK to LOGOUT */
  resp->status = LM_IMAP_OK;
  resp->name = lm_imap_status_name(LM_IMAP_OK);
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_DONE, .id = cmd->id, .resp = resp};
  lm_imapc_remove(s, cmd);
  return LM_EVENT;
}

static enum lm_status more(struct lm_imapc *s, struct lm_imapc_event *ev) {
  return s->wire.eof ? ended(s, ev) : LM_WAIT;
}

/* Takes one response, or a piece of one. *told_out: false where it was swallowed and there may be
** more in the input. */
static enum lm_status take(struct lm_imapc *s, struct lm_imapc_event *ev, bool *told_out) {
  struct lm_str in = lm_wire_input(&s->wire);
  size_t size = 0;
  enum lm_status got;
  s->frame.cut = wants_pieces(s) || s->pieces;
  *told_out = true;
  switch (frame(s, in, &size)) {
  case LM_FRAME_MORE: return more(s, ev);
  case LM_FRAME_WHOLE: got = framed(s, lm_imapc_str(in.p, size), ev); break;
  case LM_FRAME_BODY: got = before_body(s, lm_imapc_str(in.p, size), ev); break;
  case LM_FRAME_LIMIT: return lm_wire_fail(&s->wire, LM_E_LIMIT, s->frame.why, LM_NOSTR);
  default: return lm_imapc_fail_seen(s, s->frame.why, in);
  }
  *told_out = got != LM_WAIT;
  return got;
}

/* Nothing to tell: an idle session keeps no buffers. */
static enum lm_status rest(struct lm_imapc *s) {
  bool waiting = lm_imapc_in_flight(s) || s->send || s->pieces;
  if (waiting || lm_wire_input(&s->wire).n) return LM_WAIT;
  lm_arena_free(&s->arena);
  lm_wire_relax(&s->wire);
  return LM_WAIT;
}

static enum lm_status step(struct lm_imapc *s, struct lm_imapc_event *ev, bool *told_out) {
  enum lm_status got;
  *told_out = true;
  if (s->body_left) {
    got = body(s, ev);
    *told_out = got != LM_EVENT || (s->body_told && !s->body_quiet);
    return got;
  }
  if (s->idle_over) return lm_imapc_idle_owed(s, ev);
  if ((got = lm_imapc_write(s, ev)) != LM_WAIT) return got;
  if (s->early_id && (got = lm_imapc_answer_early(s, ev)) != LM_WAIT) return got;
  return s->hold ? LM_WAIT : take(s, ev, told_out);
}

enum lm_status lm_imapc_next(struct lm_imapc *s, struct lm_imapc_event *ev) {
  enum lm_status got;
  bool told;
  if (lm_wire_failed(&s->wire)) return LM_FAIL;
  do {
    if (s->pieces == NULL) lm_arena_reset(&s->arena);
    got = step(s, ev, &told);
    if (lm_wire_failed(&s->wire)) return LM_FAIL;
  } while (!told);
  return got == LM_WAIT ? rest(s) : got;
}
