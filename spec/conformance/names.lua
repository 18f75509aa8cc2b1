-- Names and tunnels: what is done before a session has its connection.

local dns = require "mail.dns"

return function(check)
  check("mail exchangers, services, texts and addresses are found", "dns", function(c)
    local o = { dns_servers = c.dns, loop = c.host, timeout = 20 }
    c.equal("mail.hosts.example", c.truth(dns.mx("hosts.example", o))[1].host, "the exchanger")
    c.equal(993, c.truth(dns.srv("imaps", "hosts.example", o))[1].port, "the port of the service")
    c.equal("onetwo", c.truth(dns.txt("hosts.example", o))[1], "the text")
    c.equal("127.0.0.1", c.truth(dns.addresses("mail.hosts.example", o))[1], "the address")
    c.equal("mail.hosts.example", c.truth(dns.ptr("127.0.0.1", o))[1], "the name of the address")
    local found, err = dns.txt("nowhere.hosts.example", o)
    c.equal("name", c.failure(found, err, "dns").missing, "what is missing")
  end)

  check("a name server that is mute does not outlast the deadline", "dns", function(c)
    local began = c.host.now()
    local found, err = dns.mx("mute.hosts.example", { dns_servers = c.dns, loop = c.host, timeout = 0.1 })
    c.failure(found, err, "timeout")
    local took = c.host.now() - began
    c.truth(took >= 0.09 and took < 2, ("a time-out of 0.1 s took %s"):format(took))
  end)

  check("many questions are asked at once", "dns tasks", function(c)
    c:each(20, function()
      c.truth(dns.mx("hosts.example", { dns_servers = c.dns, loop = c.host, timeout = 20 }))
    end)
  end)

  check("a session goes through a proxy, with its own TLS too", "proxy", function(c)
    local session = c:smtp { proxy = c.proxy }
    c.equal("word", c.truth(session:verify "word").lines[1], "an answer")
    session:close()
    if c.dovecot then
      local imap = c:real("implicit", { proxy = c.proxy })
      c.truth(imap.tls and imap:noop(), "NOOP over TLS")
      imap:logout()
    end
  end)

  check("a proxy that refuses is told from one that cannot connect", "proxy", function(c)
    local session, err = c:dial("smtp", { proxy = (c.proxy:gsub("//[^@]*@", "//")) })
    c.failure(session, err, "auth")
    session, err = c:dial("smtp", { proxy = c.proxy, port = 1 })
    c.failure(session, err, "connect")
  end)

  check("what is no proxy is an error, and no session", "", function(c)
    local session, err = c:dial("smtp", { proxy = ("http://127.0.0.1:%d"):format(c.peer.smtp) })
    c.failure(session, err, "protocol")
    session, err = c:dial("smtp", { proxy = ("socks5://127.0.0.1:%d"):format(c.peer.refused) })
    c.failure(session, err, "connect")
  end)
end
