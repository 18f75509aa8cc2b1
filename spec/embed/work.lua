-- A state's whole life: names, TLS, three protocols at once in one loop, and sessions left open at the end.
local common = require "spec.embed.common"
local mail = require "mail"

local BODY = ("x"):rep(70) .. "\r\n"

mail.loop.run(function()
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = mail.loop.spawn(function()
      local imap = assert(mail.imap.connect(common.account()))
      assert(imap.tls.version)
      assert(imap:examine "INBOX")
      for _, m in ipairs(assert(imap:fetch_all("1:*", { "envelope", "body" }))) do
        assert(m.envelope.subject == "one")
        assert(m.body[""]:sub(-#BODY) == BODY)
      end
      if i > 1 then assert(imap:logout()) end
    end)
  end
  tasks[4] = mail.loop.spawn(function()
    local smtp = assert(mail.smtp.connect(common.account(common.submissions)))
    assert(smtp:noop())
    assert(smtp:quit())
  end)
  for _, task in ipairs(tasks) do task:join() end
end)

common.watch() -- goes with the state, in its wait
