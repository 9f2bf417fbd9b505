-- A device that nobody knows: From is rewritten, the name stays, the old
-- address gets the answers.
local conn = open()

send(conn, "<" .. DEVICE .. ">",
     {{"From", '"Scan, 3rd" <' .. DEVICE .. ">"}, {"Subject", "x"}})
check_reply(conn, SMFIR_CONTINUE)
check_changed(conn, "From", '"Scan, 3rd" <' .. RELAY .. ">")
check_added(conn, "X-Original-From", '"Scan, 3rd" <' .. DEVICE .. ">")
check_added(conn, "Reply-To", DEVICE)
check(not mt.eom_check(conn, MT_HDRDELETE), "something is deleted")
check(not mt.eom_check(conn, MT_HDRCHANGE, "Subject"), "Subject is changed")
check(not mt.eom_check(conn, MT_BODYCHANGE), "the body is changed")
mt.disconnect(conn)
