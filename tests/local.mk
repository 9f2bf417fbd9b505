include %D%/e2e/local.mk
include %D%/unit/local.mk
include %D%/world/local.mk
