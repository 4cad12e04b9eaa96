//! Two values and more, place by place.

use speechlens_nn::Op;
use speechlens_nn::ops::{
    Abs, Add, Elementwise, Exp, Holds, Log, Max, Min, Mul, Reciprocal, Relation, Sub, Where,
    WholeQuotient, WholeRemainder,
};

use super::Entry;
use super::functions::power;
use crate::call::{Call, Value};
use crate::lower::Builder;

pub(super) const OPS: &[Entry] = &[
    ("Add", |call, to| all(call, to, Add)),
    ("And", |call, to| holds(call, to, Relation::And)),
    ("Div", div),
    ("Equal", |call, to| holds(call, to, Relation::Equal)),
    ("Greater", |call, to| holds(call, to, Relation::Greater)),
    ("GreaterOrEqual", |call, to| {
        holds(call, to, Relation::GreaterOrEqual)
    }),
    ("IsInf", |call, to| {
        if !call.flag("detect_negative", true) || !call.flag("detect_positive", true) {
            return Err("tells infinities of one sign alone, which is not supported".into());
        }
        let size = to.part("size", Elementwise(Abs), &[call.input(0)?])?;
        let infinity = to.number(f64::INFINITY)?;
        let what = Relation::Equal;
        Ok(vec![to.add(Holds { what }, &[&size, &infinity])?])
    }),
    // What is no number is not what it is.
    ("IsNaN", |call, to| {
        let (input, what) = (call.input(0)?, Relation::Equal);
        let is_number = to.part("is-number", Holds { what }, &[input, input])?;
        let what = Relation::Not;
        Ok(vec![to.add(Holds { what }, &[&is_number])?])
    }),
    ("Less", |call, to| holds(call, to, Relation::Less)),
    ("LessOrEqual", |call, to| {
        holds(call, to, Relation::LessOrEqual)
    }),
    ("Max", |call, to| all(call, to, Max)),
    ("Mean", mean),
    ("Min", |call, to| all(call, to, Min)),
    ("Mod", remainder),
    ("Mul", |call, to| all(call, to, Mul)),
    ("Not", |call, to| holds(call, to, Relation::Not)),
    ("Or", |call, to| holds(call, to, Relation::Or)),
    ("Pow", pow),
    ("Sub", |call, to| all(call, to, Sub)),
    ("Sum", |call, to| all(call, to, Add)),
    ("Where", |call, to| all(call, to, Where)),
    ("Xor", |call, to| holds(call, to, Relation::Xor)),
];

/// An op that reads every input.
fn all(call: &Call, to: &mut Builder, op: impl Op + 'static) -> Result<Vec<Value>, String> {
    let inputs: Vec<&Value> = call.inputs.iter().flatten().collect();
    Ok(vec![to.add(op, &inputs)?])
}

fn holds(call: &Call, to: &mut Builder, what: Relation) -> Result<Vec<Value>, String> {
    all(call, to, Holds { what })
}

/// A quotient is the product with what is 1 over the divisor; of whole numbers, without a rest.
fn div(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let (value, divisor) = (call.input(0)?, call.input(1)?);
    if to.is_whole(value) || to.is_whole(divisor) {
        return all(call, to, WholeQuotient);
    }
    let inverse = to.part("inverse", Elementwise(Reciprocal), &[divisor])?;
    Ok(vec![to.add(Mul, &[value, &inverse])?])
}

/// Of two values that are both computed it is the exponential of a product: `aᵇ = e^(b ln a)`, of bases above 0.
fn pow(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let exponent = call.input(1)?;
    if let Value::Known(known) = exponent
        && let Some(exponent) = known.single()
    {
        return power(call, to, exponent);
    }
    let base = call.input(0)?;
    let log = to.part("log", Elementwise(Log), &[base])?;
    let product = to.part("product", Mul, &[exponent, &log])?;
    Ok(vec![to.add(Elementwise(Exp), &[&product])?])
}

fn mean(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    let inputs: Vec<&Value> = call.inputs.iter().flatten().collect();
    let sum = to.part("sum", Add, &inputs)?;
    let share = to.number(1.0 / inputs.len().max(1) as f64)?;
    Ok(vec![to.add(Mul, &[&sum, &share])?])
}

/// Of whole numbers; of others it is no sum, product or function of one.
fn remainder(call: &Call, to: &mut Builder) -> Result<Vec<Value>, String> {
    if call.flag("fmod", false) || !to.is_whole(call.input(0)?) || !to.is_whole(call.input(1)?) {
        return Err(
            "it is of real numbers, or has the sign of the dividend, which is not supported".into(),
        );
    }
    all(call, to, WholeRemainder)
}
