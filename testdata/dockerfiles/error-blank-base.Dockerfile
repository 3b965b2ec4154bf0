FROM ${NONE}
# expect: error
