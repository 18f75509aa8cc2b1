--- The PROXY protocol's header, versions 1 and 2: for servers that take the client's address from it
-- (HAProxy's specification, §2.1 and §2.2). It is sent before anything else, TLS included.
-- @module mail.proxy_header

local want = require "mail.want"

local proxy_header = {}

local OPTIONS = {
  version = "number?", source = "string?", source_port = "number?", destination = "string?",
  destination_port = "number?", ["local"] = "boolean?",
}

local SIGNATURE = "\r\n\r\n\0\r\nQUIT\n"

-- --- addresses as octets --------------------------------------------------------------------------------

-- Two octets, most significant first.
local function word(n)
  return string.char(math.floor(n / 256), n % 256)
end

local function ipv4(text)
  local octets = { text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$") }
  if #octets ~= 4 then return nil end
  for i = 1, 4 do
    local n = tonumber(octets[i])
    if n > 255 or #octets[i] > 1 and octets[i]:sub(1, 1) == "0" then return nil end
    octets[i] = string.char(n)
  end
  return table.concat(octets)
end

-- The groups of one side of "::" as octets; nil where one is none.
local function groups(text)
  local list = {}
  if text == "" then return list end
  for group in (text .. ":"):gmatch("([^:]*):") do
    if group:find(".", 1, true) then
      local last = ipv4(group)
      if not last then return nil end
      list[#list + 1], list[#list + 2] = last:sub(1, 2), last:sub(3, 4)
    else
      if not group:find("^%x%x?%x?%x?$") then return nil end
      list[#list + 1] = word(tonumber(group, 16))
    end
  end
  return list
end

local function ipv6(text)
  local front, back = text:match("^(.-)::(.*)$")
  local left = groups(front or text)
  local right = groups(back or "")
  if not left or not right or back and back:find("::", 1, true) then return nil end
  local missing = 8 - #left - #right
  if front and missing < 1 or not front and missing ~= 0 then return nil end
  return table.concat(left) .. ("\0\0"):rep(missing) .. table.concat(right)
end

-- --- the two versions -----------------------------------------------------------------------------------

local function version1(h)
  if h.unknown then return "PROXY UNKNOWN\r\n" end
  return ("PROXY %s %s %s %d %d\r\n"):format(h.family, h.source, h.destination, h.source_port, h.destination_port)
end

local function version2(h)
  if h.unknown then return SIGNATURE .. "\32\0\0\0" end -- version 2, LOCAL
  local family = h.family == "TCP4" and "\17" or "\33" -- over a stream
  local body = h.source_octets .. h.destination_octets .. word(h.source_port) .. word(h.destination_port)
  return SIGNATURE .. "\33" .. family .. word(#body) .. body
end

-- --- options --------------------------------------------------------------------------------------------

local function is_port(n)
  return n == nil or n % 1 == 0 and n >= 0 and n <= 65535
end

--- Checks the option `proxy_header` of connect; what is wrong raises.
-- @tparam table options `version` (1 or 2, the default), `source`, `source_port`, `destination`,
--   `destination_port` (of the client on whose behalf we connect; what is left out is this connection's own);
--   or `["local"] = true`: the connection is our own, for nobody else
-- @tparam string what the call, for the message
-- @tparam number level whose line is blamed
function proxy_header.check(options, what, level)
  want(options, OPTIONS, what .. " proxy_header", level)
  local version = options.version or 2
  if version ~= 1 and version ~= 2 then error(what .. ": proxy_header.version must be 1 or 2", level + 1) end
  for _, name in ipairs { "source", "destination" } do
    local text = options[name]
    if text and not ipv4(text) and not ipv6(text) then
      error(("%s: proxy_header.%s is no IP address"):format(what, name), level + 1)
    end
    if not is_port(options[name .. "_port"]) then
      error(("%s: proxy_header.%s_port must be a whole number from 0 to 65535"):format(what, name), level + 1)
    end
  end
end

-- An address of this connection without what only this host understands (a zone), IPv4 as such.
local function bare(address)
  return address and address:gsub("%%.*$", ""):gsub("^::[fF][fF][fF][fF]:(%d+%.%d+%.%d+%.%d+)$", "%1")
end

--- The header's octets.
-- @tparam table options as checked
-- @tparam table own `{source=, source_port=, destination=, destination_port=}` of this connection, each may be nil
-- @treturn string; or nil, reason where the addresses are of two families
function proxy_header.encode(options, own)
  local write = (options.version or 2) == 1 and version1 or version2
  if options["local"] then return write { unknown = true } end
  local h = {
    source = options.source or bare(own.source), destination = options.destination or bare(own.destination),
    source_port = options.source_port or own.source_port or 0,
    destination_port = options.destination_port or own.destination_port or 0,
  }
  if not h.source or not h.destination then return write { unknown = true } end
  h.family = ipv4(h.source) and ipv4(h.destination) and "TCP4" or ipv6(h.source) and ipv6(h.destination) and "TCP6"
  if not h.family then return nil, "source and destination are of two address families" end
  local octets = h.family == "TCP4" and ipv4 or ipv6
  h.source_octets, h.destination_octets = octets(h.source), octets(h.destination)
  return write(h)
end

return proxy_header
