"""Wrong command lines: one message with a fix, exit code 1, and nothing that looks like a finished run."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import forking
import pytest
from conftest import config_of

from exp.cli.command_line import CommandLine
from exp.cli.default_values import with_lower_rate
from exp.cli.diagnosis import check_line, diagnose
from exp.cli.explain import explain
from exp.cli.main import main
from exp.errors import Diverged
from exp.training.build import build

# What was typed, a part of the message, and a part of the fix.
MISTAKES = [
    # keys
    ("+foo=1", "unknown key 'foo'", "remove foo"),
    ("+epochs=3", "the key exists", "epochs=3"),
    ("+epochs=abc", "only adds new keys; epochs must be an integer >= 1, or auto, got abc", "epochs=20"),
    ("~dataset.zebra", "unknown key 'dataset.zebra'", "--cfg job"),
    # values
    (
        "batching.batch_size=1000",
        "must be <= the number of training rows, 341",
        "batching=full, or batching.batch_size=32",
    ),
    ("batching.shuffle=perhaps", "batching.shuffle must be one of true, false", "batching.shuffle=true"),
    ("dataset.split=abc", "three fractions that sum to 1", "dataset.split=[.6,.2,.2]"),
    ("model._target_=null", "model has no _target_", "model=OPTION"),
    ("device.name=abacus", "device.name=abacus: unknown device 'abacus' (available: ", "device=auto"),
    ("optimizer.lr=???", "optimizer.lr needs a value", "optimizer.lr=0.02"),
    ("'optimizer.lr=${nope}'", "Interpolation key 'nope' not found", "optimizer.lr=0.02"),
    ("~epochs", "epochs is required and cannot be removed", "epochs=20"),
    ("dataset=moons dataset.n_samples=2", "leaves a split of the 2 rows empty", "dataset.split=null"),
    ("'dataset.split=[0,.9,.1]'", "three fractions that sum to 1", "'dataset.split=[.6,.2,.2]'"),
    ("dataset=signal_background dataset.signal=0", "all rows have the same class '0'", "rows of at least two classes"),
    ("hydra.run.dir=/dev/null", "/dev/null", "hydra.run.dir=ANOTHER_FOLDER"),
    ("scheduler=step ~scheduler.step_size ~scheduler.gamma", "failed:", "another scheduler"),
    (
        "scheduler=warmup_cosine scheduler.every=epoch",
        "scheduler.every=epoch: the learning rate of WarmupCosine starts at 0, and the first 35 steps would have it",
        "scheduler.every=step",
    ),
    (
        "scheduler=one_cycle optimizer=adagrad",
        "optimizer must support momentum or beta1 with `cycle_momentum`",
        "scheduler.cycle_momentum=false",
    ),
    # combinations that make no sense
    ("loss.output=value", "loss.output must be classes for CrossEntropyLoss, got value", "loss.output=classes"),
    ("loss=bce", "model.output_activation=null: BCELoss needs probabilities (sigmoid)", "=sigmoid"),
    ("loss=bce model=linear", "BCELoss needs probabilities, but the outputs range from", "loss=bce_with_logits"),
    ("loss=bce_with_logits model.output_activation=sigmoid", "BCEWithLogitsLoss needs logits (null)", "loss=bce"),
    ("+loss.reduction=sum", "loss.reduction must be mean, got sum", "loss.reduction=mean"),
    (
        "scheduler=plateau scheduler.every=epoch",
        "ReduceLROnPlateau steps after each evaluation",
        "scheduler.every=evaluation",
    ),
    (
        "dataset=diabetes loss=cross_entropy",
        "needs a classification target, but this dataset's target is numeric",
        "loss=mse",
    ),
    ("dataset=iris loss=mse", "needs a target of 2 classes, but this dataset has 3", "loss=cross_entropy"),
    # targets and their arguments, read from the source
    ("+optimizer.lrr=3", "optimizer.lrr: torch.optim.SGD has no argument 'lrr'", "optimizer.lr=3"),
    ("optimizer._target_=torch.optim.sdg.SGD", "does not exist", "optimizer._target_="),
    # mistakes tried by someone who did not write these tests
    ("lr:0.1", "arguments must be KEY=VALUE", "lr=0.1"),
    ("optimizer=0.1", "optimizer must be one of its options", "optimizer.lr=0.1"),
    ("model.hidden=64,64", "a list needs brackets", "'model.hidden=[64,64]'"),
    ("optimizer.lr=0,1", "a decimal number needs a point", "optimizer.lr=0.1"),
    ("'model.hidden=(64,64)'", "square brackets", "'model.hidden=[64,64]'"),
    ("early_stopping=5", "is a group of keys, not a value", "early_stopping.patience=5"),
    ("save_every=epoch", "save_every must be auto, or a number", "save_every=1epoch"),
    ("optimizer=adam optimizer.betas=[0.9]", "must be a list of 2", "optimizer.betas=[0.9,0.999]"),
    ("model.hidden=[64, 64]", "a list with spaces needs quotes", "'model.hidden=[64,64]'"),
    ("-m seed=1,2 sweep.measure=accuracy/test", "sweep.measure", "sweep.metric=accuracy/test"),
    ("--epochs=5", "keys take no dashes", "epochs=5"),
    ("--learning-rate 0.3", "keys take no dashes", "optimizer.lr=0.3"),
    ("--hlep", "--hlep: unknown flag", "--help"),
    ("epochs = 5", "spaces around =", "epochs=5"),
    ("epochs= 5", "spaces around =", "epochs=5"),
    ("=5", "=5: there is no key before =", "KEY=5"),
    ("--foo 5", "--foo: unknown flag", "python -m exp --help"),
    ("--cfg jbo epochs=5", "--cfg must be one of job, hydra, all, got jbo", "--cfg job epochs=5"),
    ("epochs=5 --config-dir", "--config-dir needs a value", "python -m exp epochs=5 --config-dir FOLDER"),
    ("--multirun=5", "--multirun takes no value", "python -m exp --multirun"),
    ("--package foo", "--package needs --cfg", "python -m exp --cfg job --package foo"),
    ("---", "unrecognized arguments", "python -m exp --help"),
    ("--version foo", "foo: --version takes no other arguments", "python -m exp --version"),
    # names of columns
    (
        "dataset=table dataset.path=a.csv dataset.target=y dataset.drop=flat",
        "dataset.drop must be a list of column names, got flat",
        "'dataset.drop=[flat]'",
    ),
    (
        "dataset=table dataset.path=a.csv dataset.target=y dataset.kinds=town",
        "dataset.kinds must be a mapping from column names",
        "'dataset.kinds={town: category}'",
    ),
    (
        "dataset=table dataset.path=a.csv 'dataset.target={age:town}'",
        "dataset.target must be the name of one column, or a list of names, got",
        "dataset.target=age",
    ),
    # names of metrics
    ("metric=F1", "metric must be the name of a metric: loss, ", "metric=f1"),
    ("metric=Recall:1", "metric must be the name of a metric: loss, ", "metric=recall:1"),
    ("metric=f1/val", "got f1/val", "metric=f1"),
    ("'metrics=[AUC,f1]'", "metrics must be names of metrics", "'metrics=[auc,f1]'"),
    ("-m seed=0,1 sweep.metric=F1/test", "sweep.metric must be", "sweep.metric=f1/test"),
    ("-m seed=0,1 sweep.metric=f1", "sweep.metric must be", "sweep.metric=f1/val"),
    ("dataset=moons metric=f1:11", "metric=f1:11: the target has no class '11' (available: 0, 1)", "metric=f1:1"),
    ("dataset=moons metric=mape", "metric=mape: mape is no metric of classes (available: loss, ", "metric=loss"),
    ("dataset=moons 'metrics=[f1,mape]'", "metrics=[f1,mape]: mape is no metric of classes", "'metrics=[f1]'"),
    ("dataset=diabetes metric=accuracy", "metric=accuracy: accuracy is no metric of a numeric", "metric=loss"),
    ("dataset=moons loss=mse metric=auc", "metric=auc: auc needs probabilities", "metric=loss"),
    # settings that the line would ignore
    ("-m seed=0,1 hydra.run.dir=a", "the folder of a sweep is hydra.sweep.dir", "-m seed=0,1 hydra.sweep.dir=a"),
    ("seed=1 hydra.sweep.dir=a", "the folder of one run is hydra.run.dir", "python -m exp seed=1 hydra.run.dir=a"),
    ("-m seed=0,1 hydra.run.dir=a hydra.sweep.dir=b", "the folder of a sweep is", "-m seed=0,1 hydra.sweep.dir=b"),
    ("seed=1 hydra.run.dir=a hydra.sweep.dir=b", "the folder of one run is", "python -m exp seed=1 hydra.run.dir=a"),
    ("folds=5 hydra.run.dir=a hydra.sweep.dir=b", "the folder of a sweep is", "-m folds=5 hydra.sweep.dir=b"),
    ("seed=0,1 hydra.sweep.dir=b", "hydra.sweep.dir is for a sweep (-m)", "-m seed=0,1 hydra.sweep.dir=b"),
    ("seed=0,1 hydra.sweep.dir=b hydra.run.dir=a", "is for a sweep (-m)", "-m seed=0,1 hydra.sweep.dir=b"),
    ("seed=1 sweep.workers=2", "sweep.workers is for a sweep (-m)", "python -m exp seed=1"),
    # ranges of values
    (
        "dataset=table dataset.path=a.csv dataset.target=age,town",
        "dataset.target=age,town: a list needs brackets",
        "'dataset.target=[age,town]'",
    ),
    ("seed=0..3 epochs=1", "several values are range(", "python -m exp -m 'seed=range(0,4)' epochs=1"),
    ("-m seed=1-3", "several values are range(", "'seed=range(1,4)'"),
    ("'seed=range(0,3)'", "several values need a sweep (-m)", "python -m exp -m 'seed=range(0,3)'"),
    # arguments of commands, and keys of other options
    ("predict=1", "predict is a command, not a key", "python -m exp predict run="),
    ("split=test", "split= is an argument of the command evaluate", "python -m exp evaluate run=FOLDER split=test"),
    ("optimizer=adam optimizer.momentum=0.9", "unknown key 'optimizer.momentum'", "remove optimizer.momentum=0.9"),
    # keys without a value, and keys that are given twice
    ("epochs", "epochs: arguments must be KEY=VALUE", "epochs=20"),
    ("dataset", "dataset is one of arrays, cancer", "dataset=cancer"),
    ("-m seed=0,1 seed=2,3", "seed=0,1 seed=2,3: seed is given twice", "python -m exp -m seed=2,3"),
    ("-m +experiment=xor_mse,distance", "the group is in the defaults", "without +"),
    ("-m 'optimizer.lr=glob(*)'", "the sweep has no job", "KEY=VALUE,VALUE"),
    ("-m seed=1,2 sweep.on_error=halt", "sweep.on_error must be one of continue, stop", "sweep.on_error=continue"),
    ("-m optimizer.lr=interval(0.1,1)", "interval(...) needs a search", "hydra/sweeper=optuna"),
    ("hydra.run.dir=", "hydra.run.dir must be a folder", "hydra.run.dir=FOLDER"),
    ("resume=", "resume takes one folder", "one resume=FOLDER"),
    ("resume", "resume: arguments must be KEY=VALUE", "python -m exp resume=FOLDER"),
    ("resume epochs=40", "resume: arguments must be KEY=VALUE", "python -m exp resume=FOLDER epochs=40"),
    ("-m sweep.resume= seed=1", "sweep.resume takes one folder", "one sweep.resume=FOLDER"),
    ("++resume=nowhere", "must be typed on the command line", "resume=nowhere without +"),
    # the most likely intention
    ("epochs=1e3", "epochs must be an integer >= 1, or auto, got 1000.0", "epochs=1000"),
    ("'epochs=${early_stopping.patiense}'", "'early_stopping.patiense' not found", "epochs=${early_stopping.patience}"),
    ("~dataset", "dataset needs a value", "dataset=cancer"),
    ("optimizer._target_=torch.optim.SDG", "does not exist", "optimizer._target_=torch.optim.SGD"),
    ("model._target_=os.system", "is not allowed: a config may name a Module from exp.models", "another model"),
    ("resume=nowhere", "no run is there", "resume="),
    # the command line itself
    ("cancer", "arguments must be KEY=VALUE", "dataset=cancer"),
    ("'model.hidden=[10,'", "[ without ]", "'model.hidden=[10]'"),
    ("epochs==5", "epochs==5: one = only", "epochs=5"),
    ("'dataset=[iris,wine]' seed=1", "dataset is one of its options", "python -m exp -m dataset=iris,wine seed=1"),
    ("-m seed=1 , 2 ,3 epochs=1", "a comma without a space", "python -m exp -m seed=1,2,3 epochs=1"),
    ("'dataset.target=it\"s'", "a quote is missing", 'dataset.target="it\\"s"'),
    ("'dataset.target=a;b'", "special characters need quotes", """'dataset.target="a;b"'"""),
    ("'seed=1; epochs=2'", "these are several arguments", "seed=1 epochs=2"),
    ("model=mlp,linear", "several values need a sweep", "python -m exp -m model=mlp,linear"),
    ("--config-dir nope", "no such folder", "--config-dir"),
    ("-m dataset=iris,cancr epochs=1 figures=false", "unknown dataset", "dataset=cancer"),
    # Variants, which run no line of exp that the lines above do not run.
    ("dataset=cancr", "unknown dataset 'cancr' (available: arrays, cancer, diabetes", "dataset=cancer"),
    ("model=mpl", "unknown model 'mpl' (available: cnn, gru, linear, lstm, mlp", "model=mlp"),
    ("optimizer=admw", "unknown optimizer", "optimizer=adamw"),
    ("scheduler=cosin", "unknown scheduler", "scheduler=cosine"),
    ("loss=crossentropy", "unknown loss", "loss=cross_entropy"),
    ("batching=mini_batch", "unknown batching", "batching=minibatch"),
    ("device=gpu", "unknown device", "device=cuda"),
    ("experiment=cancer-raw", "unknown experiment", "experiment=cancer_raw"),
    ("modle=mlp", "unknown key 'modle'", "model=mlp"),
    ("optm=sgd", "unknown key 'optm'", "optimizer=sgd"),
    ("data=iris", "unknown key 'data'", "dataset=iris"),
    ("optimiser.lr=0.1", "unknown key 'optimiser.lr'", "optimizer.lr=0.1"),
    ("optimizer.lrr=0.1", "optimizer has lr, momentum, nesterov, weight_decay", "optimizer.lr=0.1"),
    ("optimizer.learning_rate=0.1", "unknown key", "optimizer.lr=0.1"),
    ("lr=0.1", "unknown key 'lr'", "optimizer.lr=0.1"),
    ("batch_size=32", "unknown key 'batch_size'", "batching.batch_size=32"),
    ("batching.size=32", "batching has batch_size, shuffle, drop_last", "batching.batch_size=32"),
    ("max_epochs=3", "unknown key 'max_epochs'", "epochs=3"),
    ("model.hiden=[4]", "model has hidden", "model.hidden=[4]"),
    ("model=linear model.hidden=3", "model has bias", "model=mlp model.hidden=3"),
    ("scheduler.gamma=0.5", "scheduler has no keys", "scheduler=step scheduler.gamma=0.5"),
    ("zebra=1", "unknown key 'zebra'", "python -m exp --cfg job"),
    ("++epoch=3", "unknown key 'epoch'", "epochs=3"),
    ("+optimizer.foo=1", "optimizer.foo: torch.optim.SGD has no argument 'foo'", "one of lr, momentum"),
    (
        "optimizer.lr=abc",
        "optimizer.lr must be a number > 0 and <= 1000000000, got abc",
        "optimizer.lr=0.02",
    ),
    ("optimizer.lr=-1", "optimizer.lr must be a number > 0 and <= 1000000000, got -1", "optimizer.lr=0.02"),
    ("optimizer.momentum=1", "optimizer.momentum must be a number >= 0 and < 1", "optimizer.momentum=0.9"),
    ("optimizer.nesterov=maybe", "must be one of true, false, got maybe", "optimizer.nesterov=true"),
    ("epochs=0", "epochs must be an integer >= 1, or auto, got 0", "epochs=20"),
    ("epochs=1.5", "epochs must be an integer >= 1, or auto, got 1.5", "epochs=20"),
    ("epochs=ten", "epochs must be an integer >= 1, or auto, got ten", "epochs=20"),
    ("seed=-1", "seed must be an integer >= 0", "seed=0"),
    ("precision=fp64", "precision must be one of fp32, tf32, bf16, fp16", "precision=fp32, or another of these"),
    ("early_stopping=null", "early_stopping is a group of keys", "early_stopping.patience=null"),
    ("trian dataset=iris", "trian: unknown command", "python -m exp dataset=iris"),
    ("threads=0", "threads must be an integer >= 1 and <= 1024, or null", "threads=1"),
    ("batching.batch_size=0", 'must be an integer >= 1, or null, or auto, or "<=N", got 0', "batching.batch_size=10"),
    ("clip_grad_norm=0", "clip_grad_norm must be a number > 0, or null", "clip_grad_norm=1.0"),
    ("early_stopping.patience=0", "must be an integer >= 1, or null", "early_stopping.patience=10"),
    ("log_every=sometimes", "log_every must be auto, or a number of steps or epochs", "log_every=auto"),
    ("scheduler=step scheduler.every=week", "must be one of step, epoch, evaluation", "scheduler.every=epoch"),
    ("model.hidden=0", "model.hidden must be an integer >= 1, or a list", "model.hidden=[64,64]"),
    ("model.activation=relo", "must be one of relu, tanh", "model.activation=relu"),
    ("model.dropout=1", "model.dropout must be a number >= 0 and < 1", "model.dropout=0.1"),
    ("'dataset.split=[.5,.2]'", "three fractions that sum to 1", "dataset.split=[0.5,0.2,0.3]"),
    ("'dataset.split=[.5,.2,.2]'", "three fractions that sum to 1", "'dataset.split=[0.6,0.2,0.2]'"),
    ("optimizer=null", "optimizer must be one of its options", "another optimizer, one of these"),
    ("scheduler=null", "scheduler", "scheduler=none"),
    ("dataset.standardize=false", "this key has another name now", "dataset.scaler=none"),
    ("dataset.scaler=maybe", "must be one of standard, robust, quantile, none, got maybe", "dataset.scaler=standard"),
    ("optimizer.nesterov=true", "Nesterov momentum requires a momentum", "optimizer.momentum or optimizer.nesterov"),
    ("dataset=digits model=cnn model.pooling=last", "model.pooling must be one of max, mean,", "model.pooling=max"),
    ("model.residual=true", "residual needs a layer as wide as the one before it, got widths [10]", "residual=false"),
    ("optimizer.lr=inf", "optimizer.lr must be a number > 0", "optimizer.lr=0.02"),
    ("threads=999999999", "threads must be an integer >= 1 and <= 1024", "threads=1"),
    ("figures=maybe", "figures must be one of auto, true, false, got maybe", "figures=auto"),
    ("model.output_activation=none", "must be one of null, relu", "model.output_activation=sigmoid"),
    ("model=tabm model.output_activation=sigmoid", "(model has hidden", "model=mlp model.output_activation=sigmoid"),
    ("model.output_activation=relu", "model.output_activation=relu: CrossEntropyLoss needs logits (null)", "=null"),
    ("model.output_activation=sigmoid", "CrossEntropyLoss needs logits (null)", "model.output_activation=null"),
    ("'optimizer.lr={class: 0.04, numbers: 0.1}'", "or {classes: A, numbers: B}", "{classes: 0.04, numbers: 0.1}"),
    ("'optimizer.lr={classes: 0.04}'", "or {classes: A, numbers: B}", "{classes: 0.04, numbers: 0.04}"),
    ("'model.dropout={classes: 0.04, numbers: 2}'", "and < 1, or {classes: A", "{classes: 0.04, numbers: 0.04}"),
    (
        "experiment=noisy_xor model=linear",
        "model.hidden: torch.nn.Linear has no argument",
        "~model.hidden, which leaves",
    ),
    ("optimizer=adam +optimizer.beta=[.9,.99]", "torch.optim.Adam has no argument", "optimizer.betas=[0.9,0.99]"),
    ("dataset=moons +dataset.nsamples=300", "sklearn.datasets.make_moons has no argument", "dataset.n_samples=300"),
    ("dataset=moons +dataset.standardise=true", "has no argument", "dataset.scaler=standard"),
    ("loss._target_=torch.nn.CrossEntropyLos", "does not exist", "loss._target_=torch.nn.CrossEntropyLoss"),
    ("model._target_=torch.nn.Linaer", "does not exist", "model._target_=torch.nn.Linear"),
    ("model=MLP", "unknown model", "model=mlp"),
    ("optimizer_lr=0.1", "unknown key 'optimizer_lr'", "optimizer.lr=0.1"),
    ("optimizer/lr=0.1", "unknown key 'optimizer/lr'", "optimizer.lr=0.1"),
    ("optimizer:lr=0.1", "arguments must be KEY=VALUE", "optimizer.lr=0.1"),
    ("batch=32", "unknown key 'batch' (", "batching.batch_size=32"),
    ("batching=32", "batching must be one of its options", "batching.batch_size=32"),
    ("device=cuda:99", "unknown device", "device.name=cuda:99"),
    ("device.name=[0,1]", "device.name must be the name of one device, such as cuda:1; -m hydra", "device.name=cuda:0"),
    ("loss=ce", "unknown loss", "loss=cross_entropy"),
    ("loss=mae", "unknown loss", "loss=l1"),
    ("dataset=mnist", "unknown dataset", "another dataset, one of these"),
    ("model=resnet", "unknown model", "another model, one of these"),
    ("dataset.split=.6,.2,.2", "a list needs brackets", "'dataset.split=[.6,.2,.2]'"),
    ("-m model.hidden=[8, 8],[4] seed=1", "a list with spaces needs quotes", "'model.hidden=[8,8],[4]'"),
    ("model.hidden=[[64],[3]]", "model.hidden must be an integer >= 1, or a list", "model.hidden=[64,64]"),
    ("+model=3", "model must be one of its options", "model.hidden=3"),
    ("optimizer@optimizer=3", "optimizer must be one of its options", "optimizer.lr=3"),
    ("model.layers=[64,64]", "unknown key 'model.layers'", "model.hidden=[64,64]"),
    ("optimizer.learning-rate=0.1", "unknown key", "optimizer.lr=0.1"),
    ("optimizer=adam optimizer.beta1=0.8", "unknown key 'optimizer.beta1'", "optimizer.betas="),
    ("random_seed=3", "unknown key 'random_seed'", "seed=3"),
    ("gradient_clip=1", "unknown key", "clip_grad_norm=1"),
    ("optimizer.clip_grad_norm=1", "unknown key 'optimizer.clip_grad_norm'", "clip_grad_norm=1"),
    ("dataset.batch_size=8", "unknown key 'dataset.batch_size'", "batching.batch_size=8"),
    ("scheduler.patience=3", "unknown key 'scheduler.patience'", "scheduler=plateau scheduler.patience=3"),
    ("l2=0.1", "unknown key 'l2'", "optimizer.weight_decay=0.1"),
    ("bs=8", "unknown key 'bs'", "batching.batch_size=8"),
    ("epochs =5 dataset = iris", "spaces around =", "python -m exp epochs=5 dataset=iris"),
    ("-V", "-V: unknown flag", "python -m exp --version"),
    ("-x", "-x: unknown flag", "python -m exp --help"),
    ("--foo", "--foo: unknown flag", "python -m exp --help"),
    ("-lr 0.1", "-lr: keys take no dashes", "optimizer.lr=0.1"),
    ("--mult seed=0,1", "--mult: unknown flag", "python -m exp --multirun seed=0,1"),
    ("--cfg", "--cfg needs a value", "--cfg job"),
    ("--info foo", "--info must be one of config, all,", "python -m exp --info config"),
    (
        "dataset=table dataset.path=a.csv dataset.target=y 'dataset.drop=my flat'",
        "must be a list of column names",
        "'dataset.drop=[my flat]'",
    ),
    (
        "dataset=table dataset.path=a.csv dataset.target=y dataset.drop=flat,town",
        "a list needs brackets",
        "'dataset.drop=[flat,town]'",
    ),
    (
        "dataset=table dataset.path=a.csv dataset.target=y 'dataset.kinds=[a,b]'",
        "must be a mapping",
        "'dataset.kinds={a: category, b: category}'",
    ),
    (
        "dataset=table dataset.path=a.csv dataset.target=y 'dataset.group=[a]'",
        "dataset.group must be the name of one column, or null",
        "dataset.group=a",
    ),
    ("seed=1,2 sweep.workers=2", "sweep.workers is for a sweep (-m)", "python -m exp -m seed=1,2 sweep.workers=2"),
    ("'model.hidden=[4,4]' hydra/sweeper=optuna", "hydra/sweeper is for a sweep", "python -m exp 'model.hidden=[4,4]'"),
    ("'notes=\"a, b\"' sweep.workers=2", "sweep.workers is for a sweep", "python -m exp 'notes=\"a, b\"'"),
    (
        "'loss.class_weights={a: 1, b: 2}' sweep.workers=2",
        "for a sweep",
        "python -m exp 'loss.class_weights={a: 1, b: 2}'",
    ),
    ("hydra/launcher=submitit_slurm", "hydra/launcher is for a sweep (-m)", "python -m exp"),
    ("seed=1-3", "several values are range(FIRST,BEYOND), in a sweep (-m)", "python -m exp -m 'seed=range(1,4)'"),
    ("optimizer.lr", "optimizer.lr: arguments must be KEY=VALUE", "optimizer.lr=0.02"),
    ("epochs=1 seed=2 epochs=2", "epochs=1 epochs=2: epochs is given twice", "python -m exp seed=2 epochs=2"),
    ("dataset=iris dataset=iris", "dataset=iris dataset=iris: dataset is given twice", "python -m exp dataset=iris"),
    (
        "run=R",
        "run= is an argument of the commands evaluate, predict, importance, calibrate, export",
        "python -m exp evaluate run=R",
    ),
    (
        "-m seed=1,2 sweep.workers=-1",
        "sweep.workers must be an integer >= 0 and <= 1024, or auto",
        "sweep.workers=1",
    ),
    ("-m seed=1,2 sweep.workers=all", "sweep.workers must be an integer >= 0", "sweep.workers=1"),
    ("engine=repla", "engine must be one of auto, eager, replay, compiled", "engine=replay"),
    ("optimizer.lr=1e99999", "optimizer.lr must be a number > 0", "optimizer.lr=0.02"),
    ("-m figures=true,false", "figures changes no number", "python -m exp -m figures=true"),
    ("figures=true,false", "figures takes one value", "figures=true"),
    ("preflight=maybe", "preflight must be one of on, off, got maybe", "preflight=on"),
    ("'model.hidden=[10,20'", "[ without ]", "'model.hidden=[10,20]'"),
    ("'dataset=[cancer]'", "dataset is one of its options, not a list", "python -m exp dataset=cancer"),
    ("dataset=", "dataset=: unknown dataset '' (available: arrays", "dataset=cancer"),
    ("model= seed=1", "model=: unknown model ''", "model=mlp"),
    ("-m batching=full, online", "a comma without a space", "python -m exp -m batching=full,online"),
    ('dataset.target="\'a b"', "a quote is missing", "'dataset.target=a b'"),
    ("'dataset.target=a(b)'", "special characters need quotes", """'dataset.target="a(b)"'"""),
    ("'dataset.target=größe'", "special characters need quotes", """'dataset.target="größe"'"""),
]

VARIANTS = [line for line, _, _ in MISTAKES].index("dataset=cancr")


def test_a_config_path_would_replace_exps_own_files(exp):
    done = exp("--config-path", "mine", "dataset=iris")
    assert done.stderr.endswith("  try: python -m exp --config-dir mine dataset=iris\n")


def run_main(line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> tuple[str, object]:
    """The command's stderr and its exit code, as a shell sees them."""
    monkeypatch.setattr(sys, "argv", ["exp", *shlex.split(line)])
    # A sweep starts its workers early; here they need not import torch, because nothing is trained.
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    before = os.environ.get("HYDRA_FULL_ERROR")
    with pytest.raises(SystemExit) as caught:
        main()
    assert os.environ.get("HYDRA_FULL_ERROR") == before
    code = caught.value.code
    # As in Python: a text is printed, and the code is 1.
    return capfd.readouterr().err + (code if isinstance(code, str) else ""), 1 if isinstance(code, str) else code


def problem_of(line: str) -> str | None:
    """Return the error of composing, checking and building, as the command prints it, without running Hydra."""
    if line.startswith("--config-dir"):
        return None  # an error of Hydra
    parsed = CommandLine()
    try:
        parsed = CommandLine.parse(shlex.split(line))
        if parsed.multirun:
            check_line(parsed)
        else:
            build(config_of(*parsed.overrides))
    except Exception as error:
        return f"exp: {explain(error, parsed)}\n"
    return None


@pytest.mark.parametrize(
    ("line", "problem", "fix"),
    [
        case if n < VARIANTS and n % 2 == 0 else pytest.param(*case, marks=pytest.mark.slow)
        for n, case in enumerate(MISTAKES)
    ],
    ids=[line for line, _, _ in MISTAKES],
)
def test_a_wrong_line_gives_one_clear_message(line: str, problem: str, fix: str, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    message = problem_of(line)
    if message is None:
        message, code = run_main(line, monkeypatch, capfd)
        assert code == 1
    assert_is_clear(message, problem, fix)
    for summary in tmp_path.rglob("summary.json"):
        assert '"status": "failed"' in summary.read_text()


@pytest.mark.parametrize(
    ("line", "problem", "fix"),
    [
        case if n % 24 == 0 and n < VARIANTS else pytest.param(*case, marks=pytest.mark.slow)
        for n, case in enumerate(MISTAKES)
    ],
    ids=[line for line, _, _ in MISTAKES],
)
def test_the_command_prints_the_message(line: str, problem: str, fix: str, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    message, code = run_main(line, monkeypatch, capfd)
    assert code == 1
    assert_is_clear(message, problem, fix)
    for summary in tmp_path.rglob("summary.json"):
        assert '"status": "failed"' in summary.read_text()


def assert_is_clear(message: str, problem: str, fix: str) -> None:
    assert problem in message
    assert "\n  try: " in message
    assert fix in message.partition("\n  try: ")[2].splitlines()[0]
    assert "Traceback" not in message
    assert "To append" not in message


# What was typed, the number of errors, and the corrected command.
SEVERAL = [
    (
        "optimiser.lr=0.1 dataset=cancr epochs=-1 model=mlp",
        3,
        "python -m exp optimizer.lr=0.1 dataset=cancer epochs=20 model=mlp",
    ),
    ("dataset=iris optimizer=adam optimizer.lr=abc", 1, "python -m exp dataset=iris optimizer=adam optimizer.lr=0.001"),
    ("+foo=1 ++optimizer.lrr=2", 2, "python -m exp optimizer.lr=2"),
    ("-m 'model.hidden=[4],[8,0]'", 1, "python -m exp -m 'model.hidden=[4],[64,64]'"),
    ("-m batching.batch_size=10,ten", 1, "python -m exp -m batching.batch_size=10"),
    ("-m ++optimizer.lr=0.1,abc", 1, "python -m exp -m optimizer.lr=0.1,0.02"),
    ("cancer optimizer.lr=0", 2, "python -m exp dataset=cancer optimizer.lr=0.02"),
    (
        "model.activation=relo batching.batch_size=ten model.dropot=.1",
        3,
        "python -m exp model.activation=relu batching.batch_size=10 model.dropout=.1",
    ),
    ("-m epochs=1,x dataset=iris,cancr", 2, "python -m exp -m epochs=1,20 dataset=iris,cancer"),
    ("optimizer:lr=0.1 dataset=cancr", 2, "python -m exp optimizer.lr=0.1 dataset=cancer"),
    ("-m optimiser.lr=0.1,0.2 seed=1,2", 1, "python -m exp -m optimizer.lr=0.1,0.2 seed=1,2"),
    ("+epochs=3 seed=1", 1, "python -m exp epochs=3 seed=1"),
    ("scheduler.gamma=0.5 model=mpl", 2, "python -m exp scheduler=step scheduler.gamma=0.5 model=mlp"),
    ("-m optimizer.lr=0.1,0 seed=1,2", 1, "python -m exp -m optimizer.lr=0.1,0.02 seed=1,2"),
    ("loss=crossentropy optimzer=adam sed=3", 3, "python -m exp loss=cross_entropy optimizer=adam seed=3"),
]


@pytest.mark.parametrize(
    ("line", "count", "corrected"),
    [
        case if number < 2 else pytest.param(*case, marks=pytest.mark.slow)  # similar ones are slow
        for number, case in enumerate(SEVERAL)
    ],
    ids=[line for line, _, _ in SEVERAL],
)
def test_all_errors_are_reported_at_once_with_a_corrected_command(line: str, count: int, corrected: str):
    parsed = CommandLine.parse(shlex.split(line))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        check_line(parsed)
    assert_lists_all(f"exp: {diagnose(caught.value, parsed)}", count, corrected)
    check_line(CommandLine.parse(shlex.split(corrected)[3:]))  # it is valid


@pytest.mark.parametrize(
    ("line", "count", "corrected"),
    [SEVERAL[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in SEVERAL[1:])],
)
def test_the_command_prints_all_errors(line: str, count: int, corrected: str, monkeypatch, capfd):
    message, code = run_main(line, monkeypatch, capfd)
    assert code == 1
    assert_lists_all(message, count, corrected)


def assert_lists_all(message: str, count: int, corrected: str) -> None:
    assert message.count("\n  try: ") == count
    assert (f"{count} errors" in message) == (count > 1)
    assert message.splitlines()[-1] == f"corrected: {corrected}"


@pytest.mark.parametrize("word", ["model.hidden=[8", "epochs:3", "epochs", "epochs==3", "epochs=1;seed=3", "name=a,é)"])
def test_a_folder_of_options_does_not_change_what_is_said_of_a_word(word: str, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for flags in ("", "-m "):
        plain, _ = run_main(f"{flags}dataset=iris model=mlp,linear '{word}'", monkeypatch, capfd)
        message, _ = run_main(f"--config-dir . {flags}dataset=iris model=mlp,linear '{word}'", monkeypatch, capfd)
        assert message.replace("--config-dir . ", "") == plain


def test_a_sweep_with_an_invalid_job_starts_no_job(tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    message, code = run_main("-m dataset=xor epochs=1 optimizer=sgd,adam optimizer.momentum=0.9", monkeypatch, capfd)
    assert code == 1
    assert "unknown key 'optimizer.momentum'" in message
    assert "in the job dataset=xor epochs=1 optimizer=adam optimizer.momentum=0.9" in message
    assert not list(tmp_path.rglob("summary.json"))


@pytest.mark.parametrize(
    ("used", "line", "advised"),
    [(100, ("dataset=diabetes", "optimizer.lr=100"), 0.00025), (0.001, ("optimizer.lr=0.001",), 0.0001)],
)
def test_a_run_that_diverged_is_advised_a_rate_below_its_own_and_the_default(
    used: float, line: tuple[str, ...], advised: float
):
    fix = f"a smaller learning rate, optimizer.lr={used / 10:g}, or clip_grad_norm=1.0"
    error = Diverged("the loss became inf", fix, step=1)
    assert f"optimizer.lr={advised:g}," in with_lower_rate(error, CommandLine(overrides=line)).fix


def test_a_failed_run_that_is_resumed_with_another_file_is_started_again(exp, tmp_path: Path):
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{row * 7 % 5},{row % 3 + row / 9}\n" for row in range(20)))
    (tmp_path / "b.csv").write_text("x,y\n")
    options = "dataset.target=y figures=false epochs=2 hydra.run.dir=run"
    assert exp("dataset=table", "dataset.path=b.csv", *options.split()).returncode == 1
    done = exp("resume=run", "dataset.path=a.csv")
    assert done.returncode == 0, done.stderr
    assert "path: a.csv" in (tmp_path / "run/.hydra/config.yaml").read_text()


def test_an_error_in_a_file_is_reported_with_its_line(tmp_path: Path, monkeypatch, capfd):
    (tmp_path / "mine/optimizer").mkdir(parents=True)
    (tmp_path / "mine/optimizer/slow.yaml").write_text("# Mine.\n_target_: torch.optim.SGD\nlr: -1\n")
    message, code = run_main(f"--config-dir {tmp_path}/mine optimizer=slow", monkeypatch, capfd)
    assert code == 1
    assert "optimizer.lr must be a number > 0" in message
    assert f"at: {tmp_path}/mine/optimizer/slow.yaml:3: lr: -1" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "optimiser: {lr: 3}", "optimiser: unknown key\n  at: {at}\n  try: optimizer instead", marks=pytest.mark.slow
        ),
        ("epochs: many", "epochs must be an integer >= 1, or auto, got many\n  at: {at}\n  try: epochs=20"),
        pytest.param("optimizer: {lr: -3}", "optimizer.lr must be a number > 0", marks=pytest.mark.slow),
        ("optimizer: {lrr: 3}", "optimizer.lrr: torch.optim.SGD has no argument 'lrr'"),
        pytest.param("batching: {batchsize: 3}", "batching.batchsize: unknown key", marks=pytest.mark.slow),
        pytest.param("seed: [", 'mine.yaml", line 3', marks=pytest.mark.slow),
    ],
)
def test_an_error_in_the_users_experiment_is_reported(text: str, message: str, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text(f"# @package _global_\n{text}\n")
    printed, code = run_main("--config-dir conf experiment=mine", monkeypatch, capfd)
    assert code == 1
    assert message.replace("{at}", f"conf/experiment/mine.yaml:2: {text}") in printed
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dataset=table dataset.path=myrows.csv dataset.target=y", "file not found\n  try: 'dataset.path=my rows.csv'"),
        pytest.param(
            "dataset=table 'dataset.path=my rows.csv' dataset.target=hight",
            "try: dataset.target=height\n",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "-m seed=0,1 dataset=table 'dataset.path=my rows.csv' dataset.target=hight",
            "try: dataset.target=height\n",
            marks=pytest.mark.slow,
        ),
        ("-m dataset=table 'dataset.path=my rows.csv',b.csv dataset.target=y", "dataset.path=b.csv: file not found"),
        pytest.param(
            "dataset=arrays 'dataset.path=my rows.csv'",
            "it is a table, and dataset=arrays reads .npz files\n"
            "  try: dataset=table 'dataset.path=my rows.csv' dataset.target=height",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dataset=table dataset.path=rows.npz dataset.target=y",
            "try: dataset=arrays dataset.path=rows.npz",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_written(
    line: str, message: str, tmp_path: Path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my rows.csv").write_text("x,y,height\n1,2,3\n")
    (tmp_path / "rows.npz").write_text("")
    (tmp_path / "notes.md").write_text("")
    printed, code = run_main(line, monkeypatch, capfd)
    assert code == 1
    assert message in f"{printed}\n"
    assert not (tmp_path / "outputs").exists()


def test_the_traceback_is_in_the_log(tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    message, _ = run_main("batching.batch_size=1000", monkeypatch, capfd)
    (log,) = tmp_path.rglob("exp.log")
    assert "Traceback (most recent call last)" in log.read_text()
    assert f"log: {log.relative_to(tmp_path)}" in message


def test_hydra_full_error_prints_the_traceback(exp):
    done = exp("batching.batch_size=1000", HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


SLOW_SGD = "_target_: torch.optim.SGD\nlr: 0.1\n"


@pytest.mark.parametrize(
    ("files", "line", "at"),
    [
        (  # another file has a key of that name
            {"experiment/e": "# @package _global_\noptimizer: {lr: -3}\n", "optimizer/slow": SLOW_SGD},
            "optimizer=slow experiment=e",
            "conf/experiment/e.yaml:2: optimizer: {lr: -3}",
        ),
        pytest.param(  # the file is chosen by another one
            {
                "experiment/e": "# @package _global_\ndefaults: [override /optimizer: slow]\nseed: 3\n",
                "optimizer/slow": SLOW_SGD.replace("0.1", "-0.1"),
            },
            "experiment=e",
            "conf/optimizer/slow.yaml:2: lr: -0.1",
            marks=pytest.mark.slow,
        ),
        pytest.param(  # another key of that name comes first
            {"experiment/e": "# @package _global_\ndataset:\n  seed: 3\nseed: -1\n"},
            "experiment=e",
            "conf/experiment/e.yaml:4: seed: -1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"experiment/e": "# @package _global_\nearly_stopping: {\n  min_delta: 0.1,\n  patience: 0}\n"},
            "experiment=e",
            "conf/experiment/e.yaml:4: patience: 0}",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_file_at_fault_is_named(
    files: dict[str, str], line: str, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / f"conf/{name}.yaml").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/{name}.yaml").write_text(text)
    message, code = run_main(f"--config-dir conf {line}", monkeypatch, capfd)
    assert code == 1
    assert f"\n  at: {at}\n" in message


def test_a_wrong_argument_in_a_file_is_one_error_and_others_are_found(tmp_path: Path):
    """A suggestion for the command line would not take the wrong one away."""
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/arg.yaml").write_text("_target_: mine.Net\nwidht: 8\n")
    (tmp_path / "mine.py").write_text(OWN_NET)
    line = ["--config-dir", "conf", "model=arg", "epochs=0"]
    said = forking.run("exp", line, tmp_path, allow="mine").stderr
    at = "model.widht: mine.Net has no argument 'widht'\n  at: conf/model/arg.yaml:2: widht: 8"
    fix = "\n  try: width: 8 in that line\n"
    assert said == f"exp: 2 errors\n{at}{fix}epochs must be an integer >= 1, or auto, got 0\n  try: epochs=20\n"


def test_all_packages_to_allow_are_named_at_once():
    typed = ["dataset._target_=mine.rows", "++model._target_=nets.Net", "++loss._target_=mine.Loss"]
    message = problem_of(" ".join(typed))
    assert message is not None
    assert "dataset._target_=mine.rows model._target_=nets.Net loss._target_=mine.Loss: not allowed" in message
    assert "EXP_ALLOW=mine,nets python -m exp ..." in message


def test_a_required_argument_is_named(tmp_path: Path):
    (tmp_path / "mine.py").write_text(OWN_NET)
    said = forking.run("exp", ["+model._target_=mine.Net", "model=own:target"], tmp_path, allow="mine").stderr
    assert "model: mine.Net needs a value of its argument 'width'\n  try: +model.width=VALUE, or a line" in said
    said = forking.run("exp", ["loss=own:target", "+loss._target_=mine.Loss"], tmp_path, allow="mine").stderr
    assert "loss.output must be one of classes, logit, probability, value: what the model's output" in said
    assert not (tmp_path / "outputs").exists()


OWN_NET = """from torch import nn
class Net(nn.Module):
    def __init__(self, in_features, out_features, width):
        super().__init__()
class Loss(nn.MSELoss):
    pass
"""


def test_a_file_of_exp_is_never_at_fault(monkeypatch, capfd):
    message, _ = run_main("dataset=table", monkeypatch, capfd)
    assert message.startswith("exp: dataset.path needs a value\n  try: ")
    message, _ = run_main("dataset=table dataset.path=rows.csv", monkeypatch, capfd)
    assert message.startswith("exp: dataset.target needs a value\n  try: dataset.target=")
    assert "None" not in message
