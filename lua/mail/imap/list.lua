--- LIST and what it can bring along: LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), LIST-MYRIGHTS (RFC 8440),
-- LIST-METADATA (RFC 9590), SPECIAL-USE (RFC 6154), XLIST; and the same by other means where a server lacks them.
-- @module mail.imap.list

local acl = require "mail.imap.acl"
local metadata = require "mail.imap.metadata"
local run = require "mail.imap.run"
local special_use = require "mail.imap.special_use"
local status = require "mail.imap.status"

local list = {}

local OPTIONS = {
  reference = "string?", subscribed = "boolean?", special_use = "boolean?", status = "table|string?",
  remote = "boolean?", recursive = "boolean?", rights = "boolean?", metadata = "table|string?",
  timeout = "number|table?",
}

-- --- the command ------------------------------------------------------------------------------------

-- What the server can do in one command.
local function abilities(pump)
  local extended = run.has(pump, "LIST-EXTENDED", "IMAP4REV2")
  return {
    extended = extended,
    -- RETURN came with these too, whatever else of LIST-EXTENDED is there (RFC 6154 §2, RFC 5819 §2)
    special = run.has(pump, "SPECIAL-USE", "IMAP4REV2"),
    status = run.has(pump, "LIST-STATUS", "IMAP4REV2"),
    rights = run.has(pump, "LIST-MYRIGHTS"),
    metadata = run.has(pump, "LIST-METADATA"),
    xlist = run.has(pump, "XLIST") and not run.has(pump, "SPECIAL-USE", "IMAP4REV2"),
  }
end

-- "(SUBSCRIBED RECURSIVEMATCH)", or "".
local function selection(options, can)
  local words = {}
  if options.subscribed and can.extended then words[#words + 1] = "SUBSCRIBED" end
  if options.remote then words[#words + 1] = "REMOTE" end
  if options.recursive then words[#words + 1] = "RECURSIVEMATCH" end
  return #words > 0 and "(" .. table.concat(words, " ") .. ")" or nil
end

-- "RETURN (CHILDREN STATUS (MESSAGES))", or nil.
local function returns(call, can)
  local words = {}
  if can.extended and can.special then words[1] = "CHILDREN SPECIAL-USE" end
  if call.options.recursive then words[#words + 1] = "SUBSCRIBED" end
  if call.figures and can.status then words[#words + 1] = "STATUS " .. call.figures end
  if call.options.rights and can.rights then words[#words + 1] = "MYRIGHTS" end
  if call.entries and can.metadata then words[#words + 1] = "METADATA (" .. table.concat(call.entries, " ") .. ")" end
  return #words > 0 and "RETURN (" .. table.concat(words, " ") .. ")" or nil
end

-- The command for one pattern or, where the server takes them, several.
local function command(call, can, patterns)
  local verb, out = "LIST", {}
  local function put(kind, value)
    out[#out + 1] = kind
    out[#out + 1] = value
  end
  if call.options.subscribed and not can.extended then verb = "LSUB" elseif can.xlist then verb = "XLIST" end
  -- An empty pattern asks for the delimiter, and only the plain LIST knows that (RFC 5258 §3).
  local plain = verb ~= "LIST" or (#patterns == 1 and patterns[1] == "")
  if plain and patterns[1] == "" then verb = "LIST" end
  local select_words = not plain and selection(call.options, can)
  if select_words then put("text", select_words) end
  put("mailbox", call.options.reference or "")
  if #patterns > 1 then put("open", true) end
  for _, pattern in ipairs(patterns) do put("mailbox", pattern) end
  if #patterns > 1 then put("close", true) end
  local return_words = not plain and returns(call, can)
  if return_words then put("text", return_words) end
  return verb, out
end

-- --- the answers ------------------------------------------------------------------------------------

local function set_of(array)
  local set = {}
  for _, one in ipairs(type(array) == "table" and array or {}) do set[one] = true end
  return set
end

-- One LIST response as users see it.
local function shaped(value)
  return {
    name = value.name, delimiter = value.delimiter, attributes = value.attributes,
    special_use = special_use.of(value.attributes), old_name = type(value.oldname) == "string" and value.oldname or nil,
    child_info = value.childinfo and set_of(value.childinfo) or nil,
  }
end

-- The same name from two patterns is one mailbox, with all that both said.
local function add(found, by_name, box)
  local known = by_name[box.name]
  if not known then
    found[#found + 1] = box
    by_name[box.name] = box
    return
  end
  for attribute in pairs(box.attributes) do known.attributes[attribute] = true end
  known.special_use = known.special_use or box.special_use
  known.old_name = known.old_name or box.old_name
end

-- Puts what the command brings into `found`; what is about no mailbox of it is news.
local function collector(pump, found, by_name)
  return function(what, number, value, ...)
    local box = type(value) == "table" and type(value.name) == "string" and by_name[value.name]
    if what == "LIST" or what == "LSUB" or what == "XLIST" then
      add(found, by_name, shaped(value))
    elseif box and what == "STATUS" then
      box.status = status.shaped(pump, value)
    elseif box and what == "MYRIGHTS" then
      box.rights = value.rights
    elseif box and what == "METADATA" and value.values then
      box.metadata = metadata.merge(box.metadata, value.values)
    else
      run.news(pump, what, number, value, ...)
    end
  end
end

-- --- what LIST could not bring ----------------------------------------------------------------------

local function selectable(found, lacks)
  local boxes = {}
  for _, box in ipairs(found) do
    if not (box.attributes["\\Noselect"] or box.attributes["\\NonExistent"]) and box[lacks] == nil then
      boxes[#boxes + 1] = box
    end
  end
  return boxes
end

-- Asks for each mailbox; many commands in flight at once.
local function complete(pump, found, call)
  local ok, err = true, nil
  if call.figures then ok, err = status.fill(pump, selectable(found, "status"), call.figures, call.options) end
  if ok and call.options.rights then ok, err = acl.fill(pump, selectable(found, "rights"), call.options) end
  if ok and call.entries then
    ok, err = metadata.fill(pump, selectable(found, "metadata"), call.entries, call.options)
  end
  return ok, err
end

-- Those with a special use; guessed where the server knows no such thing.
local function settle_uses(found, call, can)
  local told = can.special or can.xlist
  for _, box in ipairs(found) do told = told or box.special_use ~= nil end
  if not told and not call.options.subscribed then special_use.guess(found) end
  if not call.options.special_use then return found end
  local only = {}
  for _, box in ipairs(found) do
    if box.special_use then only[#only + 1] = box end
  end
  return only
end

-- What only one command can do: kind "unsupported" before anything is sent.
local function lacks(pump, options, can)
  if (options.remote or options.recursive) and not can.extended then
    return run.unsupported(pump, "LIST", "LIST-EXTENDED")
  elseif options.rights and not can.rights and not run.has(pump, "ACL") then
    return run.unsupported(pump, "LIST", "ACL")
  elseif options.metadata and not can.metadata and not run.has(pump, "METADATA") then
    return run.unsupported(pump, "LIST", "METADATA")
  end
end

-- One command for all patterns, or one for each, side by side.
local function ask(pump, call, can, patterns, found)
  local groups, ids, by_name = {}, {}, {}
  if can.extended and not can.xlist or #patterns == 1 then groups[1] = patterns end
  for i = 1, groups[1] and 0 or #patterns do groups[i] = { patterns[i] } end
  for i, group in ipairs(groups) do
    local verb, arguments = command(call, can, group)
    local id, err = run.begin(pump, verb, false, run.unpack(arguments))
    if not id then return nil, err end
    ids[i] = { id, verb }
  end
  local bad
  for _, one in ipairs(ids) do
    local ok, err = run.finish(pump, one[1], one[2], call.options, collector(pump, found, by_name))
    if not ok and (pump.failure or err.kind ~= "rejected") then return nil, err end
    if not ok then bad = bad or err end
  end
  if bad then return nil, bad end
  return true
end

-- @treturn table the mailboxes; or nil, err
local function run_list(pump, call, patterns)
  local can, found = abilities(pump), {}
  local err = lacks(pump, call.options, can)
  if err then return nil, err end
  if call.items then
    call.figures, err = status.words(pump, call.items, "LIST")
    if not call.figures then return nil, err end
  end
  local ok
  ok, err = ask(pump, call, can, patterns, found)
  if not ok then return nil, err end
  found = settle_uses(found, call, can)
  ok, err = complete(pump, found, call)
  if not ok then return nil, err end
  return found
end

local function check_patterns(pattern)
  if pattern == nil then return { "*" } end
  if type(pattern) == "string" then return { pattern } end
  if type(pattern) ~= "table" or #pattern == 0 then
    error("imap:list: a pattern or an array of them expected, got " .. type(pattern), 3)
  end
  for _, one in ipairs(pattern) do
    if type(one) ~= "string" then error("imap:list: a pattern must be a string, got " .. type(one), 3) end
  end
  return pattern
end

-- --- methods ----------------------------------------------------------------------------------------

--- Methods of the session.
list.methods = {}

--- Lists mailboxes (RFC 9051 §6.3.9). What a server cannot do in one command is asked for in several, side by side.
-- @tparam[opt="*"] string|table pattern with "*" and "%", or several
-- @tparam[opt] table options `reference`; `subscribed` (only those); `recursive` (with `subscribed`: also mailboxes
--   with children that are, see `child_info`; RFC 5258 §3.1); `remote` (also on other servers); `special_use` (only
--   those that have one); `status` (array of items of `status`); `rights` (the user's own, RFC 8440);
--   `metadata` (array of entries, RFC 9590); `timeout`
-- @treturn table array of `{name=, delimiter=, attributes=set, special_use=, guessed=, status=, rights=, metadata=,
--   old_name=, child_info=set}`; or nil, err: kind "unsupported" where the server can do it in no way. `guessed`: the
--   server knows no special uses, and the name is that of one in some language.
function list.methods:list(pattern, options)
  local patterns = check_patterns(pattern)
  run.options(options, "list", OPTIONS)
  options = options or {}
  if options.recursive and not options.subscribed then error("imap:list: option 'recursive' needs 'subscribed'", 2) end
  local call = { options = options }
  call.items = options.status and status.check(options.status, "list")
  call.entries = options.metadata and metadata.check_entries(options.metadata, "list")
  local pump = run.pump(self, "list")
  if pump.failure then return nil, pump.failure end
  return run_list(pump, call, patterns)
end

--- Which mailbox serves what.
-- @tparam[opt] table options `timeout`
-- @treturn table `{["\\Sent"] = "Sent Items", …}`, the first of each use; or nil, err
function list.methods:special_mailboxes(options)
  run.options(options, "special_mailboxes")
  local pump = run.pump(self, "special_mailboxes")
  if pump.failure then return nil, pump.failure end
  local call = { options = { special_use = true, timeout = options and options.timeout } }
  local found, err = run_list(pump, call, { "*" })
  if not found then return nil, err end
  local uses = {}
  for _, box in ipairs(found) do uses[box.special_use] = uses[box.special_use] or box.name end
  return uses
end

return list
