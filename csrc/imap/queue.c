/*
** queue.c: which command may go out now, and how far.
**
** The only place that writes to the wire. A command stops where the server must say "+", where the
** caller's own octets go, and where the caller hands octets over.
*/
#include <stdlib.h>
#include <string.h>

#include "imap/session.h"

/* --- the trace ------------------------------------------------------------------------------------- */

static void trace_lines(struct lm_imapc *s, struct lm_str text) {
  struct lm_cursor c = lm_cursor(text);
  while (!lm_at_end(&c)) {
    struct lm_str line = lm_until(&c, '\n');
    lm_accept(&c, '\n');
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    lm_wire_trace(&s->wire, 'C', line);
  }
}

/* Of a secret command only tag and verb are told. */
static void trace_secret(struct lm_imapc *s, struct lm_str text) {
  struct lm_cursor c = lm_cursor(text);
  char line[64];
  struct lm_str tag = lm_until(&c, ' '), verb;
  lm_accept(&c, ' ');
  verb = lm_until(&c, ' ');
  if (tag.n + verb.n + 5 > sizeof line || lm_at_end(&c)) {
    lm_wire_trace(&s->wire, 'C', LM_STR("***"));
    return;
  }
  memcpy(line, tag.p, tag.n + 1 + verb.n);
  memcpy(line + tag.n + 1 + verb.n, " ***", 4);
  lm_wire_trace(&s->wire, 'C', lm_imapc_str(line, tag.n + 1 + verb.n + 4));
}

bool lm_imapc_emit(struct lm_imapc *s, struct lm_str text, bool secret) {
  if (s->wire.trace && text.n) (secret ? trace_secret : trace_lines)(s, text);
  if (secret) s->wire.secret = true;
  return lm_wire_put(&s->wire, text);
}

/* --- order ------------------------------------------------------------------------------------------- */

void lm_imapc_remove(struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  struct lm_imapc_cmd **p = &s->first, *before = NULL;
  while (*p != cmd) {
    before = *p;
    p = &before->next;
  }
  *p = cmd->next;
  if (s->last == cmd) s->last = before;
  if (s->send == cmd) s->send = cmd->next;
  if (cmd->phase != PHASE_SENT) s->queued -= lm_buf_len(&cmd->text);
  lm_imapc_cmd_free(cmd);
}

/* RFC 9051 §5.5: what is in flight beside it must not make it, or its answer, ambiguous. */
static bool may_start(const struct lm_imapc *s, const struct lm_imapc_cmd *cmd) {
  const struct lm_imapc_cmd *other;
  for (other = s->first; other != s->send; other = other->next) {
    if ((cmd->verb->flags | other->verb->flags) & CMD_ALONE) return false;
    if ((cmd->verb->flags & CMD_BY_SEQ) && !(other->verb->flags & CMD_QUIET)) return false;
    if (lm_imapc_alike(cmd, other)) return false;
  }
  return true;
}

/* --- writing ----------------------------------------------------------------------------------------- */

static struct lm_str until_stop(const struct lm_imapc_cmd *cmd) {
  bool stops = cmd->stop_i < cmd->stop_n;
  size_t end = stops ? cmd->stops[cmd->stop_i].at : cmd->text.end;
  return lm_imapc_str(cmd->text.p + cmd->text.start, end - cmd->text.start);
}

/* Everything of it is on the wire: its text is not needed any more. */
static void sent(struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  if (cmd->options & LM_IMAPC_SECRET) lm_buf_wipe(&cmd->text);
  lm_buf_free(&cmd->text);
  cmd->phase = PHASE_SENT;
  cmd->sent_at = s->wire.queued;
  if (cmd->verb->effect == EFFECT_LOGIN || cmd->verb->effect == EFFECT_AUTHENTICATE ||
      cmd->verb->effect == EFFECT_UNAUTHENTICATE) {
    s->caps_renewed = false;
  }
  s->send = cmd->next;
}

static void at_stop(struct lm_imapc *s, struct lm_imapc_cmd *cmd,
                    const struct lm_imapc_stop *stop) {
  cmd->stop_i++;
  if (stop->kind == STOP_WAIT) {
    cmd->phase = PHASE_WAIT;
  } else if (stop->kind == STOP_CONTENT) {
    cmd->phase = PHASE_CONTENT;
    cmd->content = stop->size;
    cmd->content_text = stop->text;
  } else {
    lm_wire_trace(&s->wire, 'C', LM_STR("(literal)"));
    lm_wire_lend(&s->wire, stop->lent);
  }
}

/* Writes up to the next stop. `start` is moved by hand: stops are offsets into the text. */
static bool write_some(struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  struct lm_str text = until_stop(cmd);
  if (!lm_imapc_emit(s, text, (cmd->options & LM_IMAPC_SECRET) != 0)) return false;
  s->queued -= text.n;
  cmd->text.start += text.n;
  if (cmd->stop_i < cmd->stop_n) {
    at_stop(s, cmd, &cmd->stops[cmd->stop_i]);
  } else {
    sent(s, cmd);
  }
  return true;
}

static enum lm_status go(struct lm_imapc *s, struct lm_imapc_cmd *cmd, struct lm_imapc_event *ev) {
  if (ev == NULL || s->told_go == cmd->id) return LM_WAIT;
  s->told_go = cmd->id;
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_GO, .id = cmd->id};
  return LM_EVENT;
}

/* A command whose numbers name other messages by now is answered here, and never sent. The words are
** those of a server that refuses for the same reason (RFC 5530). */
static enum lm_status answer_moved(struct lm_imapc *s, struct lm_imapc_cmd *cmd,
                                   struct lm_imapc_event *ev) {
  struct lm_imap_resp *resp;
  if (ev == NULL) return LM_WAIT;
  if ((resp = lm_arena_zero(&s->arena, sizeof *resp)) == NULL) {
    return lm_imapc_fail(s, LM_E_MEMORY, "room for an answer");
  }
  resp->kind = LM_IMAP_TAGGED;
  resp->status = LM_IMAP_NO;
  resp->name = lm_imap_status_name(LM_IMAP_NO);
  resp->code = LM_STR("EXPUNGEISSUED");
  resp->text = LM_STR("messages went away before the command was sent: its numbers name others");
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_DONE, .id = cmd->id, .resp = resp};
  lm_imapc_remove(s, cmd);
  return LM_EVENT;
}

enum lm_status lm_imapc_write(struct lm_imapc *s, struct lm_imapc_event *ev) {
  if (s->hold || s->state == IMAPC_GREETING || s->over) return LM_WAIT;
  if (!lm_imapc_idle_write(s)) return lm_wire_failed(&s->wire) ? LM_FAIL : LM_WAIT;
  while (s->send && s->wire.lent.n == 0) {
    struct lm_imapc_cmd *cmd = s->send;
    if (cmd->phase == PHASE_QUEUED) {
      if (!may_start(s, cmd)) return LM_WAIT;
      if (cmd->moved && cmd->numbers) return answer_moved(s, cmd, ev);
      cmd->phase = PHASE_WRITING;
    }
    if (cmd->phase == PHASE_WAIT) return LM_WAIT;
    if (cmd->phase == PHASE_CONTENT) return go(s, cmd, ev);
    if (!write_some(s, cmd)) return LM_FAIL;
  }
  return LM_WAIT;
}

void lm_imapc_push(struct lm_imapc *s) {
  if (!lm_wire_failed(&s->wire)) lm_imapc_write(s, NULL);
}

/* --- streamed literals ------------------------------------------------------------------------------- */

static struct lm_imapc_cmd *content_of(struct lm_imapc *s, uint32_t id) {
  struct lm_imapc_cmd *cmd = s->send;
  s->refusal = NULL;
  if (lm_wire_failed(&s->wire)) {
    lm_imapc_refuse(s, "session has failed");
  } else if (cmd == NULL || cmd->id != id || cmd->phase != PHASE_CONTENT) {
    lm_imapc_refuse(s, "no content was asked for");
  } else {
    return cmd;
  }
  return NULL;
}

bool lm_imapc_content(struct lm_imapc *s, uint32_t id, struct lm_str bytes) {
  struct lm_imapc_cmd *cmd = content_of(s, id);
  if (cmd == NULL) return false;
  if (s->wire.lent.n) return lm_imapc_refuse(s, "output is pending") != 0;
  if (cmd->content_text && bytes.n && memchr(bytes.p, '\0', bytes.n)) {
    return lm_imapc_refuse(s, "NUL in a literal") != 0;
  }
  if (bytes.n > cmd->content) return lm_imapc_refuse(s, "more content than announced") != 0;
  if (bytes.n) lm_wire_lend(&s->wire, bytes);
  cmd->content -= bytes.n;
  s->told_go = 0; /* and GO again, once they are out */
  return true;
}

bool lm_imapc_content_end(struct lm_imapc *s, uint32_t id) {
  struct lm_imapc_cmd *cmd = content_of(s, id);
  if (cmd == NULL) return false;
  if (cmd->content) return lm_imapc_refuse(s, "less content than announced") != 0;
  cmd->phase = PHASE_WRITING;
  s->told_go = 0;
  lm_wire_trace(&s->wire, 'C', LM_STR("(content)"));
  return true;
}

bool lm_imapc_wants_content(const struct lm_imapc *s, uint32_t id) {
  const struct lm_imapc_cmd *cmd = s->send;
  return cmd && cmd->id == id && cmd->phase == PHASE_CONTENT && s->wire.lent.n == 0 &&
         !lm_wire_failed(&s->wire);
}

bool lm_imapc_is_sent(const struct lm_imapc *s, uint32_t id) {
  const struct lm_imapc_cmd *cmd = lm_imapc_find(s, id);
  return cmd && cmd->phase == PHASE_SENT && s->wire.gone >= cmd->sent_at;
}

/* --- giving up --------------------------------------------------------------------------------------- */

void lm_imapc_abandon(struct lm_imapc *s, uint32_t id) {
  struct lm_imapc_cmd *cmd = lm_imapc_find(s, id);
  if (id != 0 && id == s->idle_id) lm_imapc_idle_end(s, id);
  if (id != 0 && id == s->body_id) s->body_quiet = true;
  if (cmd == NULL || lm_wire_failed(&s->wire)) return;
  if (cmd->phase == PHASE_QUEUED) {
    lm_imapc_remove(s, cmd);
  } else if (cmd->phase == PHASE_SENT && !cmd->asked) {
    cmd->abandoned = true;
  } else {
    lm_wire_fail(&s->wire, LM_E_CLOSED, "the rest of a command that was given up", LM_NOSTR);
  }
}
