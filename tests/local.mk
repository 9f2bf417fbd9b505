include %D%/bench/local.mk
include %D%/e2e/local.mk
include %D%/fuzz/local.mk
include %D%/unit/local.mk
include %D%/world/local.mk

EXTRA_DIST += \
	%D%/checks/banned.sh \
	%D%/checks/examples.sh \
	%D%/checks/format.sh \
	%D%/checks/includes.sh \
	%D%/checks/log.sh \
	%D%/checks/man.sh \
	%D%/checks/options.sh \
	%D%/checks/plugin.sh \
	%D%/checks/postfix.sh \
	%D%/checks/programs.sh \
	%D%/checks/scripts.sh \
	%D%/checks/units.sh \
	%D%/checks/words.sh \
	%D%/data/alerts.yml \
	%D%/data/exchange/export-sendas.csv \
	%D%/data/exchange/permissions.csv \
	%D%/data/exchange/recipients.csv \
	%D%/data/from-fields.txt \
	%D%/data/milter-alerts.yml \
	%D%/lib/build.sh \
	%D%/lib/packages.sh \
	%D%/provider/package-lock.json \
	%D%/provider/package.json \
	%D%/provider/server.mjs \
	%D%/run \
	.ci/run
