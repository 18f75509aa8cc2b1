--- Where a server keeps which mailboxes: NAMESPACE (RFC 2342, RFC 9051 §6.3.10).
-- @module mail.imap.namespace

local run = require "mail.imap.run"

local namespace = { methods = {} }

--- The namespaces of the server. One without NAMESPACE has the user's own alone: then its delimiter is asked for.
-- @tparam[opt] table options `timeout`
-- @treturn table `{personal=, other=, shared=}`, each an array of `{prefix=, delimiter=, extensions=}`: prefixes in
--   UTF-8, the delimiter nil where the names are flat, extensions by name; or nil, err
function namespace.methods:namespace(options)
  run.options(options, "namespace")
  local pump = run.pump(self, "namespace")
  if pump.failure then return nil, pump.failure end
  if not run.has(pump, "NAMESPACE", "IMAP4REV2") then
    local root, err = self:list("", options)
    if not root then return nil, err end
    return { personal = { { prefix = "", delimiter = root[1] and root[1].delimiter } }, other = {}, shared = {} }
  end
  local found
  local ok, err = run.call(pump, options, function(name, number, value, ...)
    if name == "NAMESPACE" then found = value else run.news(pump, name, number, value, ...) end
  end, "NAMESPACE")
  if not ok then return nil, err end
  if type(found) == "table" and found.personal then return found end
  return nil, pump:error("protocol", "NAMESPACE was answered without one", { command = "NAMESPACE" })
end

return namespace
