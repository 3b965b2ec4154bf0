ARG A=1
# expect: error
