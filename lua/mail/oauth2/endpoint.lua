--- What is said to an endpoint of OAuth 2.0, and what it says (RFC 6749 §3.2, §5).
--
-- A client here is a table: `options`, and `secrets`, an array of further texts that no error may hold.
-- Invariant: no secret stands in an error, whatever the endpoint echoes.
-- @module mail.oauth2.endpoint

local Err = require "mail.err"
local ascii = require "mail.ascii"
local core = require "mail.core"
local http = require "mail.http"
local json = require "mail.json"
local mask = require "mail.mask"

local endpoint = {}

--- A text as a form or a query wants it.
local function escape(text)
  return (text:gsub("[^A-Za-z0-9._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end
endpoint.escape = escape

--- Base64 for URLs, without padding (RFC 7515 §2).
function endpoint.base64url(octets)
  return (core.base64(octets):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

--- An array of { name, value } as a form; those without a value are left out.
function endpoint.form(list)
  local parts = {}
  for i = 1, #list do
    if list[i][2] ~= nil then parts[#parts + 1] = escape(list[i][1]) .. "=" .. escape(ascii.text(list[i][2])) end
  end
  return table.concat(parts, "&")
end

--- nil, err of this module's.
function endpoint.failure(kind, message, fields)
  fields = fields or {}
  fields.kind, fields.message, fields.protocol = kind, message, "oauth2"
  return nil, Err.new(fields)
end
local failure = endpoint.failure

--- What the endpoint said, fit for a log line: bounded, in one line, without our secrets; nil for what is no text.
function endpoint.clean(client, text)
  if type(text) ~= "string" then return nil end
  text = mask(mask(text, client.options.refresh_token), client.options.client_secret)
  for _, secret in ipairs(client.secrets) do text = mask(text, secret) end
  text = text:gsub("[A-Za-z0-9_-]+%.[A-Za-z0-9_-]+%.[A-Za-z0-9_-]+", function(word)
    return #word > 60 and "***" or word
  end)
  return (text:sub(1, 300):gsub("[%z\1-\31\127]+", " "))
end
local clean = endpoint.clean

-- The client proves who it is (RFC 6749 §2.3.1): in the body, or by Basic.
local function prove(client, list, headers)
  local o = client.options
  if o.client_id and o.client_secret and o.client_auth == "basic" then
    headers.Authorization = "Basic " .. core.base64(escape(o.client_id) .. ":" .. escape(o.client_secret))
    return
  end
  list[#list + 1] = { "client_id", o.client_id }
  list[#list + 1] = { "client_secret", o.client_secret }
end

-- Sends it by the host's client, or ours: the answer; or nil, err.
local function post(client, url, body, headers)
  local o = client.options
  if o.http then
    local answer, err = o.http { url = url, method = "POST", headers = headers, body = body, timeout = o.timeout }
    if type(answer) ~= "table" or type(answer.status) ~= "number" or type(answer.body) ~= "string" then
      return failure("connect", "no answer: " .. tostring(clean(client, tostring(err))), { temporary = true })
    end
    return answer
  end
  return http.request { url = url, method = "POST", headers = headers, body = body, timeout = o.timeout,
    ssl = o.ssl, loop = o.loop, proxy = o.proxy }
end

--- A refusal as an error (RFC 6749 §5.2): nil, err.
-- @tparam table client
-- @tparam ?string code the `error` of the answer
-- @tparam ?string text its `error_description`
-- @tparam ?number status of HTTP
function endpoint.refusal(client, code, text, status)
  code, text = clean(client, code), clean(client, text)
  local message = code and (code .. (text and ": " .. text or "")) or ("HTTP status %d"):format(status)
  return failure("auth", "no token: " .. message, {
    error = code, text = text, temporary = status ~= nil and (status >= 500 or status == 429)
      or code == "temporarily_unavailable" or code == "slow_down",
  })
end

--- One request.
-- @tparam table client
-- @tparam string url
-- @tparam table list parameters, { name, value }; the client's own and `extra` are added
-- @treturn table the answer's object; or nil, err
function endpoint.ask(client, url, list)
  local headers = { ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json" }
  prove(client, list, headers)
  for name, value in pairs(client.options.extra or {}) do list[#list + 1] = { name, value } end
  local answer, err = post(client, url, endpoint.form(list), headers)
  if not answer then return nil, err end
  local reply, why = json.decode(answer.body)
  if answer.status ~= 200 or (reply and reply.error) then
    return endpoint.refusal(client, reply and reply.error, reply and reply.error_description, answer.status)
  end
  if not reply then return failure("protocol", "the endpoint answers with " .. why) end
  return reply
end

return endpoint
