--- Annotations of mailboxes and of the server: METADATA (RFC 5464).
--
-- Entries are paths below "/private" and "/shared"; the mailbox "" is the server itself (METADATA-SERVER).
-- @module mail.imap.metadata

local ascii = require "mail.ascii"
local run = require "mail.imap.run"

local metadata = { methods = {} }

local OPTIONS = { depth = "number|string?", max_size = "number?", timeout = "number|table?" }
local DEPTHS = { ["0"] = "0", ["1"] = "1", infinity = "infinity" }

-- entry = astring that begins with "/", without "*", "%", "//" or a last "/" (RFC 5464 §5)
local function is_entry(entry)
  if type(entry) ~= "string" or not entry:find "^/[pPsS]" then return false end
  return not (entry:find "[%z\1-\31\127*%%\128-\255]" or entry:find("//", 1, true) or entry:find "/$")
end

local QUOTED = { ['"'] = '\\"', ["\\"] = "\\\\" }

--- Entries as they stand in a command; raises at the caller of the method that calls.
function metadata.check_entries(entries, what)
  if type(entries) == "string" then entries = { entries } end
  local out = {}
  for i, entry in ipairs(entries) do
    if not is_entry(entry) then error(("imap:%s: bad entry '%s'"):format(what, tostring(entry)), 3) end
    out[i] = entry:find "^[A-Za-z0-9/_.-]+$" and entry or '"' .. entry:gsub('["\\]', QUOTED) .. '"'
  end
  if #out == 0 then error(("imap:%s: an array of entries expected"):format(what), 3) end
  return out
end

--- Values beside those that are known; false, the server's NIL, is no value.
function metadata.merge(known, values)
  known = known or {}
  for entry, value in pairs(values) do known[entry] = value or nil end
  return known
end

local function supported(pump, mailbox)
  return run.has(pump, "METADATA") or (mailbox == "" and run.has(pump, "METADATA-SERVER"))
end

local function begin(pump, mailbox, entries, words)
  local arguments = { "mailbox", mailbox, "text", "(" .. table.concat(entries, " ") .. ")" }
  if words then
    table.insert(arguments, 1, words)
    table.insert(arguments, 1, "text")
  end
  return run.begin(pump, "GETMETADATA", false, run.unpack(arguments))
end

-- @treturn table values; and the code's value of the answer; or nil, err
local function finish(pump, id, options)
  local values = {}
  local ok, code, code_value = run.finish(pump, id, "GETMETADATA", options, function(name, number, value, ...)
    if name == "METADATA" and type(value) == "table" and value.values then
      metadata.merge(values, value.values)
    else
      run.news(pump, name, number, value, ...)
    end
  end)
  if not ok then return nil, code end
  return values, code == "METADATA" and code_value or {}
end

--- Values of many mailboxes, as their field `metadata`. One that is refused has none.
-- @return true; or nil, err
function metadata.fill(pump, boxes, entries, options)
  return run.each(pump, boxes, function(box) return begin(pump, box.name, entries) end, function(box, id)
    local values, err = finish(pump, id, options)
    box.metadata = values
    if values or err.kind == "rejected" then return true end
    return nil, err
  end)
end

-- "(MAXSIZE 1024 DEPTH 1)", or nil.
local function option_words(options)
  local words = {}
  if options.max_size then
    if options.max_size < 0 or options.max_size % 1 ~= 0 or options.max_size > 2 ^ 53 then
      error("imap:getmetadata: option 'max_size' must be a whole number of octets", 3)
    end
    words[1] = ("MAXSIZE %.0f"):format(options.max_size)
  end
  if options.depth then
    local depth = DEPTHS[tostring(options.depth)]
    if not depth then error("imap:getmetadata: option 'depth' must be 0, 1 or \"infinity\"", 3) end
    words[#words + 1] = "DEPTH " .. depth
  end
  return #words > 0 and "(" .. table.concat(words, " ") .. ")" or nil
end

--- Reads annotations (GETMETADATA).
-- @tparam string mailbox "" for the server's own
-- @tparam string|table entries `"/shared/comment"`, or several
-- @tparam[opt] table options `depth`: 0, 1 or "infinity" (what is below the entries too); `max_size`: octets that a
--   value may have, longer ones are left out; `timeout`
-- @treturn table values by entry, those that are there
-- @treturn table `{longentries=}`: the size of the longest one that was left out; or nil, err
function metadata.methods:getmetadata(mailbox, entries, options)
  run.text(mailbox, "getmetadata", "a mailbox")
  if type(entries) ~= "string" and type(entries) ~= "table" then
    error("imap:getmetadata: an entry or an array of them expected, got " .. type(entries), 2)
  end
  entries = metadata.check_entries(entries, "getmetadata")
  run.options(options, "getmetadata", OPTIONS)
  local words = option_words(options or {})
  local pump = run.pump(self, "getmetadata")
  if pump.failure then return nil, pump.failure end
  if not supported(pump, mailbox) then return nil, run.unsupported(pump, "GETMETADATA", "METADATA") end
  local id, err = begin(pump, mailbox, entries, words)
  if not id then return nil, err end
  return finish(pump, id, options)
end

-- One value: NUL only in a literal8.
local function put_value(out, value)
  local kind = "string"
  if value == false then
    kind, value = "text", "NIL"
  elseif value:find("%z") then
    kind = "literal8"
  end
  out[#out + 1], out[#out + 2] = kind, value
end

local function set_arguments(mailbox, values)
  local names, out = {}, { "mailbox", mailbox, "open", true }
  for entry, value in pairs(values) do
    if type(value) ~= "string" and value ~= false then
      error(("imap:setmetadata: the value of '%s' must be a string, or false to remove it"):format(tostring(entry)), 3)
    end
    if not is_entry(entry) then error(("imap:setmetadata: bad entry '%s'"):format(tostring(entry)), 3) end
    names[#names + 1] = entry
  end
  if #names == 0 then error("imap:setmetadata: a table of entries and values expected", 3) end
  table.sort(names, ascii.before)
  for _, entry in ipairs(names) do
    out[#out + 1], out[#out + 2] = "astring", entry
    put_value(out, values[entry])
  end
  out[#out + 1], out[#out + 2] = "close", true
  return out
end

--- Writes annotations (SETMETADATA): all of them or none.
-- @tparam string mailbox "" for the server's own
-- @tparam table values by entry; false removes one
-- @tparam[opt] table options `timeout`
-- @return true; or nil, err: `response_code` "METADATA" with `response_value.maxsize`, `.toomany` or `.noprivate`
function metadata.methods:setmetadata(mailbox, values, options)
  run.text(mailbox, "setmetadata", "a mailbox")
  if type(values) ~= "table" then
    error("imap:setmetadata: a table of entries and values expected, got " .. type(values), 2)
  end
  local arguments = set_arguments(mailbox, values)
  run.options(options, "setmetadata")
  local pump = run.pump(self, "setmetadata")
  if pump.failure then return nil, pump.failure end
  if not supported(pump, mailbox) then return nil, run.unsupported(pump, "SETMETADATA", "METADATA") end
  local ok, err = run.call(pump, options, nil, "SETMETADATA", run.unpack(arguments))
  if ok then return true end
  return nil, err
end

return metadata
