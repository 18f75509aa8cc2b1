--- NOTIFY: the server tells by itself what happens in which mailboxes (RFC 5465).
-- @module mail.imap.notify

local ascii = require "mail.ascii"
local events = require "mail.imap.events"
local item_text = require("mail.imap.items").text
local run = require "mail.imap.run"
local want = require "mail.want"

local unpack = table.unpack or unpack -- luacheck: ignore

local notify = {}

-- How the standard writes them; the user may write them in any case.
local EVENTS = {}
for _, name in ipairs {
  "MessageNew", "MessageExpunge", "FlagChange", "AnnotationChange", "MailboxName", "SubscriptionChange",
  "MailboxMetadataChange", "ServerMetadataChange",
} do
  EVENTS[ascii.lower(name)] = name
end

local OF_MESSAGES = { MessageNew = true, MessageExpunge = true, FlagChange = true, AnnotationChange = true }

-- In the order in which they are sent; `names`: the group lists mailboxes.
local FILTERS = {
  { key = "selected", selected = true }, { key = "selected_delayed", selected = true }, { key = "inboxes" },
  { key = "personal" }, { key = "subscribed" }, { key = "subtree", names = true }, { key = "mailboxes", names = true },
}

local GROUPS = { status = "boolean?", timeout = "number|table?" }
for _, filter in ipairs(FILTERS) do GROUPS[filter.key] = "table?" end

local function fail(key, why)
  error(("imap:notify: '%s': %s"):format(key, why), 0)
end

local function item_words(items)
  local words = {}
  for i, item in ipairs(items) do words[i] = item_text(item, 1) end
  return table.concat(words, " ")
end

-- The events of a group, and the set of their names.
local function event_words(filter, group)
  local words, has = {}, {}
  for _, name in ipairs(group) do
    local known = type(name) == "string" and EVENTS[ascii.lower(name)]
    if not known then fail(filter.key, ("unknown event '%s'"):format(tostring(name))) end
    if filter.selected and not OF_MESSAGES[known] then fail(filter.key, known .. " is no event of messages") end
    has[known] = true
    words[#words + 1] = known
    if known == "MessageNew" and group.items then
      if not filter.selected then fail(filter.key, "'items' is for the selected mailbox only") end
      words[#words + 1] = "(" .. item_words(group.items) .. ")"
    end
  end
  local messages = has.MessageNew or has.MessageExpunge or has.FlagChange or has.AnnotationChange
  if messages and not (has.MessageNew and has.MessageExpunge) then
    fail(filter.key, "events of messages need both MessageNew and MessageExpunge (RFC 5465 §5)")
  end
  return #words > 0 and "(" .. table.concat(words, " ") .. ")" or "NONE", has
end

local function put(out, kind, value)
  out[#out + 1], out[#out + 2] = kind, value
end

-- "(" filter-mailboxes SP events ")" as arguments.
local function put_group(out, filter, group)
  local words, has = event_words(filter, group)
  put(out, "open", true)
  put(out, "text", (filter.key:gsub("_", "-")))
  if filter.names then
    local names = type(group.names) == "string" and { group.names } or group.names
    if type(names) ~= "table" or #names == 0 then fail(filter.key, "'names' is missing: the mailboxes") end
    put(out, "open", true)
    for _, name in ipairs(names) do
      if type(name) ~= "string" then fail(filter.key, "a mailbox is a string") end
      put(out, "mailbox", name)
    end
    put(out, "close", true)
  elseif group.names then
    fail(filter.key, "it takes no 'names'")
  end
  put(out, "text", words)
  put(out, "close", true)
  return has
end

-- All groups as arguments, and what is asked for the selected mailbox.
local function arguments(groups)
  local out, selected = { "text", groups.status and "SET STATUS" or "SET" }, nil
  if groups.selected and groups.selected_delayed then fail("selected", "not together with 'selected_delayed'") end
  for _, filter in ipairs(FILTERS) do
    local group = groups[filter.key]
    if group then
      local has = put_group(out, filter, group)
      if filter.selected then selected = { events = has, delayed = filter.key == "selected_delayed" } end
    end
  end
  return out, selected
end

-- Methods of the session.
notify.methods = {}

--- Asks to be told of what happens, until the next call (RFC 5465 §3.1). The events come to `imap:on` and `imap:idle`:
-- of the selected mailbox as by IDLE; of others `{type="mailbox_status", name=, messages=, uidnext=, …}`, and
-- `{type="mailbox", name=, attributes=}` for names; `{type="overflow"}` where the server gives it up.
-- @tparam table|boolean groups filter → array of events: `{ selected = {"MessageNew", "MessageExpunge", "FlagChange",
--   items = {"uid", "flags"}}, inboxes = {"MessageNew", "MessageExpunge"}, subtree = {names = {"Lists"}, …} }` of
--   "selected", "selected_delayed", "inboxes", "personal", "subscribed", "subtree", "mailboxes" (the last two with
--   `names`); an empty array asks for nothing of them; `status`: figures of all those mailboxes now; `timeout`.
--   false: nothing any more
-- @return true; or nil, err: kind "unsupported" where the server lacks it, `err.response_code` "BADEVENT" where it
--   lacks an event. With "selected" and MessageExpunge, message numbers mean nothing any more: calls with `seq = true`
--   are refused.
function notify.methods:notify(groups)
  local out, selected = { "text", "NONE" }, nil
  if groups ~= false then
    want(groups, GROUPS, "imap:notify")
    local ok, made, asked = pcall(arguments, groups)
    if not ok then error(made, 2) end
    out, selected = made, asked
  end
  local pump = run.pump(self, "notify")
  if pump.failure then return nil, pump.failure end
  if not pump.session:has_capability("NOTIFY") then
    return nil, pump:error("unsupported", "the server lacks NOTIFY", { command = "NOTIFY" })
  end
  local ok, err = run.call(pump, groups or nil, nil, "NOTIFY", unpack(out))
  if not ok then return nil, err end
  events.notify_over(pump)
  if groups then pump.notify = { selected = selected and selected.events.MessageNew and not selected.delayed } end
  if selected and selected.events.MessageExpunge and not selected.delayed then pump.session:unnumbered(true) end
  return true
end

return notify
