//! What stands below the flags in `--help` and in the manual pages. Every example is read by a test.

pub(super) const INIT: &str = "\
A key is asked for on the terminal, or read from what is piped in, from --key-file, or from CHUTES_API_KEY. An existing \
configuration keeps everything that it holds: accounts and keys are added to it. A key that Chutes refuses, or that could \
not be tested, is not written.

Examples:
  ripcord init
  pass show chutes | ripcord init --yes
  ripcord init --key-file keys.txt --name work";

pub(super) const EXPLAIN: &str = "\
Read from the ledger of this machine, whether the gateway runs or not. Exit code 1: there is no such request.

Examples:
  ripcord explain                                the newest requests with their ids
  ripcord explain --last
  ripcord explain req_01a2b3c4d5e6               the beginning of an id, if only one begins so
  ripcord explain --last 20 --json";

pub(super) const KEYS_ADD: &str = "\
The key goes to stdout, everything else to stderr. Of the key's rules and those of an account the stricter counts: a key \
never spends what the account may not. A call counts in the budgets before it is sent, at what it may cost, and when it is \
over at what it did.

Examples:
  ripcord keys add laptop
  ripcord keys add ci-bot --paygo never --reserve no
  ripcord keys add assistant --paygo daily:0.50 --min-balance 2
  ripcord keys add intern --daily-usd 1 --models 'zai-org/*,Qwen/*' --expires 30d
  ripcord keys add nightly --monthly-usd 20 --concurrent 2 --highest-priority batch";

pub(super) const CLIENT: &str = "\
Examples:
  ripcord config client                                     the list of clients
  ripcord config client opencode
  ripcord config client curl --model zai-org/GLM-5.2-TEE
  ripcord config client aider --direct                      Chutes itself, without the gateway";

pub(super) const COMPLETIONS: &str = "\
Examples:
  ripcord completions bash > ~/.local/share/bash-completion/completions/ripcord
  ripcord completions zsh > ~/.zfunc/_ripcord       (with `fpath+=~/.zfunc` in ~/.zshrc before `compinit`)
  ripcord completions fish > ~/.config/fish/completions/ripcord.fish
  ripcord completions elvish >> ~/.config/elvish/rc.elv
  ripcord completions powershell >> $PROFILE";

pub(super) const MAN: &str = "\
Examples:
  ripcord man usage | man -l -
  ripcord man --directory ~/.local/share/man/man1";

pub(super) const STATUS: &str = "\
Examples:
  ripcord status
  ripcord status zai-org/GLM-5.2-TEE
  ripcord status --all --json";

pub(super) const MODELS: &str = "\
Examples:
  ripcord models --query deepseek
  ripcord models --tee --feature tools --max-price 2 --sort price";

pub(super) const BUDGET_CHECK: &str = "\
Examples:
  ripcord budget-check && ./nightly.sh
  ripcord budget-check --account work --require-balance";

pub(super) const CAN_COMPLETE: &str = "\
Examples:
  ripcord can-complete 500
  ripcord can-complete 500 --model Qwen/Qwen3-32B-TEE --tokens-in 4000 --tokens-out 800 && ./batch.sh
  ripcord can-complete 20000 --model Qwen/Qwen3-32B-TEE --windows 6";

pub(super) const WAIT_FOR_RESET: &str = "\
Examples:
  ripcord wait-for-reset && ./batch.sh
  ripcord wait-for-reset --timeout 3600
  ripcord wait-for-reset --next day";

pub(super) const RUN: &str = "\
Ends with the command's exit code, 126, 127 and 128 + the signal as shells have them, or 75 if it was never started: the time \
was up, it can never fit, or the accounts could not be read.

EXPRESSION is made of conditions with and, or, not and parentheses: day, four_hour, month or balance with >, >=, < or <= and what \
remains, as a share (20%), in request units of the day (500) or in dollars ($2, or 2usd); before=16:00 and after=22:00 of the \
local time, or that of --tz; weekday=mon-fri or sat,sun. A figure that is not known satisfies nothing. Put it in single quotes.

--pause is for commands that do not go through the gateway, where work waits by itself. It stops the command and what it \
started, as Ctrl-Z would, once none of its calls through the gateway of this machine is under way (after 30 seconds in any case), \
and lets it go on when there is budget, also if ripcord is killed. What Chutes is streaming to a stopped program goes on, and is \
billed.

Examples:
  ripcord run -- ./batch.sh
  ripcord run --needs 500 --model Qwen/Qwen3-32B-TEE --tokens-in 4000 --tokens-out 800 -- ./batch.sh
  ripcord run --usd 1.50 --slot --timeout 3600 -- python3 job.py
  ripcord run --when 'day>20%' -- ./nightly.sh
  ripcord run --pause -- python3 direct.py        stands still while the budget is used up";

pub(super) const SERVE: &str = "\
Examples:
  ripcord serve
  ripcord serve --listen 127.0.0.1:0 --json       a free port, told as a line of JSON";

pub(super) const ACQUIRE: &str = "\
Examples:
  ripcord acquire -- ./one-call.sh
  ripcord acquire --timeout 60 --account work -- python3 job.py";

pub(super) const USAGE: &str = "\
Examples:
  ripcord usage --tz UTC
  ripcord usage --account work --json";

pub(super) const REPORT: &str = "\
Chutes counts by hours of UTC. Hours that are over are kept in the state directory and asked for once.

Examples:
  ripcord report
  ripcord report --days 30 --json
  ripcord report --monthly
  ripcord report --hourly yesterday
  ripcord report --spikes
  ripcord report --plan";

pub(super) const WATCH: &str = "\
On a terminal a line is a sentence; elsewhere, and with --json, it is an object of docs/reference/schemas/event.json. What is \
wrong at the start is told at once; what is well is not. Network failures are told on stderr once, and survived. Ctrl-C ends \
it with exit code 0.

Examples:
  ripcord watch
  ripcord watch --model zai-org/GLM-5.2-TEE --json | jq -r .text
  ripcord watch --once
  ripcord watch --gateway                         as the gateway sees it, without asking Chutes
  ripcord watch --test-hook desktop";
