-- Postfix's smtp-sink: takes every message and keeps none. Options: flags, as in `smtp-sink(1)` ("-L" for LMTP).
-- Port: smtp.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local Sink = Server.class()

function Sink:start()
  if not self.running then
    local k = self.keeper
    local program = k.found.root and k.folder .. "/tree/usr/sbin/smtp-sink" or "/usr/sbin/smtp-sink"
    k:write("start.sh", ("exec %s %s 127.0.0.1:%d 8\n"):format(program, self.options.flags or "", self.ports.smtp))
  end
  return Server.start(self)
end

function Sink.admit() end

local M = {}

function M.find() return Keeper.find("postfix", "/usr/sbin/smtp-sink") end

function M.new(servers, options, found)
  found.shell = true
  local self = setmetatable({ name = "smtp-sink", options = options, host = "127.0.0.1", domain = servers.domain,
    logs = { "output" } }, Sink)
  local kept, why = self:take_keeper(found, { "@/start.sh" })
  if not kept then return nil, why end
  self:take_ports { "smtp" }
  return self:open(options)
end

return M
