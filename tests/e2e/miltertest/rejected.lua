-- not_permitted = reject: a reply with code and text, and bounces pass. (What
-- the reply says miltertest has read past.)
local conn = open()

send(conn, "<" .. DEVICE .. ">", {{"From", DEVICE}})
check_reply(conn, SMFIR_REPLYCODE)
check_no_edits(conn)

send(conn, "<>", {{"From", "MAILER-DAEMON@gw.inside.example"}})
check_reply(conn, SMFIR_CONTINUE)
check_changed(conn, "From", RELAY)

send(conn, "<alerts@contoso.com>", {{"From", "alerts@contoso.com"}})
check_reply(conn, SMFIR_CONTINUE)
check_no_edits(conn)
mt.disconnect(conn)
