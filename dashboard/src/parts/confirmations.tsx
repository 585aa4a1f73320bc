import { Button } from "./button";
import { useAsking } from "./confirm";
import { Dialog, DialogActions } from "./dialog";

/** Where questions are shown. */
export function Confirmations() {
  const { question, answer } = useAsking();
  return (
    <Dialog
      open={question !== undefined}
      onOpenChange={(open) => !open && answer(false)}
      title={question?.title ?? ""}
      about={question?.about ?? ""}
    >
      <div className="h-3" />
      <DialogActions>
        <Button onClick={() => answer(false)}>Keep as it is</Button>
        <Button look={question?.danger ? "danger" : "primary"} onClick={() => answer(true)}>
          {question?.act}
        </Button>
      </DialogActions>
    </Dialog>
  );
}
