# What an administrator reads beside the man pages, and a developer before all.

dist_doc_DATA += \
	%D%/architecture.md \
	%D%/exim.md \
	%D%/graph-rotation.md \
	%D%/postfix.md \
	%D%/rotate-a-secret.md \
	%D%/sendas.md \
	%D%/sign-in.md
