-- The null sender, with and without brackets: From is rewritten, nothing is
-- refused. (That the envelope stays can't be seen from here.)
local conn = open()

for _, sender in ipairs({"<>", ""}) do
    send(conn, sender, {{"From", "MAILER-DAEMON@gw.inside.example"},
                        {"Auto-Submitted", "auto-replied"}})
    check_reply(conn, SMFIR_CONTINUE)
    check_changed(conn, "From", RELAY)
    check(not mt.eom_check(conn, MT_HDRCHANGE, "Auto-Submitted"),
          "Auto-Submitted is changed")
end
mt.disconnect(conn)
