/*
** idle.c: IDLE as a mode (RFC 2177, RFC 9051 §6.3.13).
**
** The caller switches it on and off. Whenever a command waits, the session ends the IDLE in flight
** with DONE, lets the queue run dry, and idles again; the caller sees one command with one end.
*/
#include <stdlib.h>
#include <string.h>

#include "imap/session.h"

static bool can_idle(const struct lm_imapc *s) {
  return s->state == IMAPC_AUTHENTICATED || s->state == IMAPC_SELECTED;
}

uint32_t lm_imapc_idle(struct lm_imapc *s) {
  s->refusal = NULL;
  if (lm_wire_failed(&s->wire)) return lm_imapc_refuse(s, "session has failed");
  if (!can_idle(s)) return lm_imapc_refuse(s, "wrong state for this command");
  if ((s->known & KNOWS_IDLE) == 0) return lm_imapc_refuse(s, "the server does not offer IDLE");
  if (s->idle_wanted || s->idle_over || s->idle != IDLE_OFF) {
    return lm_imapc_refuse(s, "IDLE is on already");
  }
  s->idle_wanted = true;
  s->idle_id = ++s->ids;
  return s->idle_id;
}

void lm_imapc_idle_rearm(struct lm_imapc *s) {
  if (s->idle == IDLE_ON) s->idle_rearm = true;
}

void lm_imapc_idle_end(struct lm_imapc *s, uint32_t id) {
  if (id != s->idle_id || !s->idle_wanted) return;
  s->idle_wanted = false;
  if (s->idle == IDLE_OFF) s->idle_over = true;
}

/* The mode has ended without an IDLE in flight: its DONE event is made up here. */
enum lm_status lm_imapc_idle_owed(struct lm_imapc *s, struct lm_imapc_event *ev) {
  struct lm_imap_resp *resp = lm_arena_zero(&s->arena, sizeof *resp);
  if (resp == NULL) return lm_imapc_fail(s, LM_E_MEMORY, "room for an answer");
  s->idle_over = false;
  resp->kind = LM_IMAP_TAGGED;
  resp->status = LM_IMAP_OK;
  resp->name = lm_imap_status_name(LM_IMAP_OK);
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_DONE, .id = s->idle_id, .resp = resp};
  return LM_EVENT;
}

static bool start(struct lm_imapc *s) {
  char text[32];
  struct lm_buf b = {text, 0, 0, sizeof text}; /* holds a tag and a verb: never grows */
  s->idle_tag = ++s->ids;
  lm_imapc_put_tag(s, &b, s->idle_tag);
  lm_buf_put(&b, " IDLE\r\n", 7);
  s->idle = IDLE_STARTING;
  return lm_imapc_emit(s, lm_buf_str(&b), false);
}

/* True where commands may be written now. */
bool lm_imapc_idle_write(struct lm_imapc *s) {
  bool leave = s->send || !s->idle_wanted || s->idle_rearm;
  if (s->idle == IDLE_ON && leave) {
    s->idle = IDLE_ENDING;
    s->idle_rearm = false;
    return lm_imapc_emit(s, LM_STR("DONE\r\n"), false) && false;
  }
  if (s->idle != IDLE_OFF) return false;
  if (s->idle_wanted && s->first == NULL && can_idle(s)) return start(s) && false;
  return true;
}

enum lm_status lm_imapc_idle_continue(struct lm_imapc *s, struct lm_imapc_event *ev) {
  s->idle = IDLE_ON;
  if (!s->idle_wanted) return LM_WAIT;
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_IDLING, .id = s->idle_id};
  return LM_EVENT;
}

/* The tagged answer to IDLE. One that nobody asked for ends the mode: taking it up again could go
** on for ever. */
enum lm_status lm_imapc_idle_answer(struct lm_imapc *s, struct lm_imap_resp *resp,
                                    struct lm_imapc_event *ev) {
  bool asked = s->idle == IDLE_ENDING && resp->status == LM_IMAP_OK;
  s->idle = IDLE_OFF;
  if (asked && s->idle_wanted) return LM_WAIT;
  s->idle_wanted = s->idle_over = false;
  *ev = (struct lm_imapc_event){.kind = LM_IMAPC_DONE, .id = s->idle_id, .resp = resp};
  return LM_EVENT;
}
