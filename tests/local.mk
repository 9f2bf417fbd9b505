include %D%/unit/local.mk
