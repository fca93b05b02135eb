//! A loop of one iteration around the body of each comprehension.
//!
//! Where a condition fails, regorus' machine goes on with the next iteration of the innermost open loop. In a
//! comprehension that is inside of a loop and has none of its own, that is the loop outside: the iteration
//! is lost, and with it what the rule would have found. Without any loop the machine does not leave
//! the comprehension, and a later condition that fails leads back to it. With a loop around its body a condition
//! that fails ends this loop, and nothing else.

use regorus::Value;
use regorus::rvm::instructions::{Instruction, LoopMode, LoopStartParams};
use regorus::rvm::program::Program;

/// The loops put in so far.
#[derive(Default)]
pub(super) struct Bodies {
    open: Vec<Body>,
    closed: Vec<Body>,
}

/// The loop around one body; its positions are those of the instrumented program.
struct Body {
    params_index: u16,
    start: usize,
    next: usize,
    /// The register of what the comprehension makes.
    result: u8,
}

impl Bodies {
    /// Begins the loop, behind the beginning of the comprehension; two registers are its own.
    pub(super) fn begin(
        &mut self,
        program: &mut Program,
        result: u8,
        [collection, current]: [u8; 2],
    ) -> Result<(), String> {
        let once = program.add_literal(Value::from(vec![Value::Null]));
        let literal_idx = u16::try_from(once).map_err(|_| "the program has too many literals".to_owned())?;
        program.instructions.push(Instruction::Load { dest: collection, literal_idx });
        let params_index = program.add_loop_params(LoopStartParams {
            mode: LoopMode::ForEach,
            collection,
            key_reg: current,
            value_reg: current,
            result_reg: current,
            body_start: 0,
            loop_end: 0,
        });
        program.instructions.push(Instruction::LoopStart { params_index });
        self.open.push(Body { params_index, start: program.instructions.len(), next: 0, result });
        Ok(())
    }

    /// The register of what the innermost open comprehension makes.
    pub(super) fn result(&self) -> Option<u8> {
        self.open.last().map(|body| body.result)
    }

    /// Ends the loop, before the end of the comprehension.
    pub(super) fn end(&mut self, program: &mut Program) -> Result<(), String> {
        let mut body = self.open.pop().ok_or("a comprehension ends that did not begin")?;
        body.next = program.instructions.len();
        program.instructions.push(Instruction::LoopNext { body_start: 0, loop_end: 0 });
        self.closed.push(body);
        Ok(())
    }

    /// Writes the positions of the loops, which nothing may move any more.
    pub(super) fn place(self, program: &mut Program) -> Result<(), String> {
        for Body { params_index, start, next, .. } in self.closed {
            let short = |position| u16::try_from(position).map_err(|_| "the program is too long".to_owned());
            let (body_start, loop_end) = (short(start)?, short(next.saturating_add(1))?);
            if let Some(params) = program.instruction_data.loop_params.get_mut(usize::from(params_index)) {
                (params.body_start, params.loop_end) = (body_start, loop_end);
            }
            if let Some(instruction) = program.instructions.get_mut(next) {
                *instruction = Instruction::LoopNext { body_start, loop_end };
            }
        }
        Ok(())
    }
}
